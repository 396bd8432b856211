//! What all machines have in common, so that one driver serves them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use crate::{CloseFrame, Frame, MadeFault, Time};

/// What a mock does on one connection, without IO.
///
/// Its driver calls [`Machine::opened`] once and first. After that call, and after each of [`Machine::received`] and [`Machine::woken`], it polls
/// until there is no more output, doing what each says before it polls for the next; then it waits for a frame or until the deadline,
/// whichever comes first. It takes frames only while [`Machine::wants_more`]. Times never go back.
pub trait Machine {
    /// What the machine says of itself, for logs.
    type Note;

    /// The connection is open.
    fn opened(&mut self, now: Time);

    /// The client has sent something. Pings are answered by the driver.
    fn received(&mut self, now: Time, frame: Frame);

    /// It is time; earlier than the deadline does no harm.
    fn woken(&mut self, now: Time);

    /// What is to be done next, at the time of the last input.
    fn poll_output(&mut self) -> Option<Output<Self::Note>>;

    /// When the machine has something to do without a frame, counted from the opening; `None` if never.
    fn deadline(&self) -> Option<Duration>;

    /// Whether the client is to be read on. While it is not, what it sends waits there.
    fn wants_more(&self) -> bool {
        true
    }

    /// The next fault that has happened on the link before it and was not told yet.
    fn made(&mut self) -> Option<MadeFault> {
        None
    }
}

/// What a driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<N> {
    /// Send this.
    Send(Frame),
    /// Close the connection; nothing follows.
    Close(CloseFrame),
    /// Tell whoever watches.
    Note(N),
}

/// Sends back every message.
#[derive(Debug, Default)]
pub struct Echo(VecDeque<Frame>);

impl Echo {
    /// One that has heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Machine for Echo {
    type Note = Infallible;

    fn opened(&mut self, _: Time) {}

    fn received(&mut self, _: Time, frame: Frame) {
        if let Frame::Text(_) | Frame::Binary(_) = frame {
            self.0.push_back(frame);
        }
    }

    fn woken(&mut self, _: Time) {}

    fn poll_output(&mut self) -> Option<Output<Infallible>> {
        self.0.pop_front().map(Output::Send)
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_sends_back_messages_and_nothing_else() {
        let now = Time { elapsed: Duration::ZERO, unix_ms: 0 };
        let mut echo = Echo::new();
        echo.opened(now);
        let frames = [Frame::Text("a".to_owned()), Frame::Binary("b".into())];
        for frame in frames.clone() {
            echo.received(now, frame);
        }
        for frame in [Frame::Ping("p".into()), Frame::Pong("p".into()), Frame::Close(None)] {
            echo.received(now, frame);
        }
        for frame in frames {
            assert_eq!(echo.poll_output(), Some(Output::Send(frame)));
        }
        assert_eq!((echo.poll_output(), echo.deadline()), (None, None));
    }
}
