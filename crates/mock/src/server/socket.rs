//! One WebSocket, and the machine that says what is done on it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{CloseFrame as AxumCloseFrame, Message, WebSocket};
use futures_util::{FutureExt, SinkExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::Span;

use super::desk::{Orders, Watch};
use super::options::MockOptions;
use crate::close_code;
use crate::spans::{message_passed, record_ws_error};
use crate::{CloseFrame, Direction, Frame, Machine, MadeFault, Output, Time};

/// Outputs that are written before the socket is read again, where there is no end of them.
const WRITE_BATCH: usize = 64;

/// Messages that are heard before what is said to them is written: those that have come together are answered together.
const READ_BATCH: usize = 64;

/// Both clocks of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// One that starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        Time { elapsed: self.0.elapsed(), unix_ms }
    }

    /// Waits until then; for ever without a time.
    pub(crate) async fn at(self, deadline: Option<Duration>) {
        match deadline.and_then(|deadline| self.0.checked_add(deadline)) {
            Some(moment) => tokio::time::sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }
}

/// Does what a machine says until the connection ends. `wake` says that the machine has something to do without a frame or a deadline.
pub(crate) async fn drive<M>(
    mut socket: WebSocket,
    mut machine: M,
    options: &MockOptions,
    desk: Option<(Watch, Orders)>,
    wake: Option<Arc<Notify>>,
) where
    M: Machine,
    M::Note: Display,
{
    let clock = Clock::start();
    let (watch, mut orders) = desk.unzip();
    machine.opened(clock.now());
    let mut heard_together = 0;
    let mut last_note = None;
    loop {
        let mut written = 0;
        let heard = loop {
            let output = machine.poll_output();
            while let Some(fault) = machine.made() {
                made(watch.as_ref(), clock, fault);
            }
            match output {
                None => break None,
                Some(Output::Note(note)) => {
                    noted(watch.as_ref(), clock, &note);
                    last_note = Some(note);
                }
                Some(Output::Close(frame)) => {
                    if let (close_code::TIMED_OUT | close_code::UNEXPECTED, Some(note)) =
                        (frame.code, &last_note)
                    {
                        tracing::warn!(%note, "a script was not kept to");
                    }
                    saw(watch.as_ref(), clock, Direction::Out, &Frame::Close(Some(frame.clone())));
                    return close(socket, Some(frame), options.close_patience).await;
                }
                Some(Output::Send(frame)) => {
                    saw(watch.as_ref(), clock, Direction::Out, &frame);
                    let Ok(Ok(())) = timeout(options.write_patience, socket.feed(message(frame))).await
                    else {
                        return;
                    };
                    written += 1;
                }
            }
            if written == WRITE_BATCH {
                written = 0;
                // Whoever leaves in the middle of a script is not sent the rest of it.
                if machine.wants_more()
                    && let Some(heard) = socket.recv().now_or_never()
                {
                    break Some(heard);
                }
            }
        };
        let answers = written > 0 && machine.wants_more();
        let heard = heard.or_else(|| answers.then(|| socket.recv().now_or_never()).flatten());
        if heard.is_none() || heard_together == READ_BATCH {
            let Ok(Ok(())) = timeout(options.write_patience, socket.flush()).await else { return };
            heard_together = 0;
        }
        let heard = match heard {
            Some(heard) => heard,
            None => tokio::select! {
                heard = socket.recv(), if machine.wants_more() => heard,
                // A socket that is not read does not show that its client has left.
                () = tokio::time::sleep(options.stall_patience), if !machine.wants_more() && machine.deadline().is_none() => {
                    return;
                }
                () = clock.at(machine.deadline()) => {
                    machine.woken(clock.now());
                    continue;
                }
                () = woken(wake.as_deref()) => {
                    machine.woken(clock.now());
                    continue;
                }
                order = ordered(&mut orders) => {
                    saw(watch.as_ref(), clock, Direction::Out, &order);
                    if let Frame::Close(frame) = order {
                        return close(socket, frame, options.close_patience).await;
                    }
                    let Ok(Ok(())) = timeout(options.write_patience, socket.feed(message(order))).await else {
                        return;
                    };
                    continue;
                }
            },
        };
        match heard {
            None => return,
            Some(Err(error)) => return break_off(socket, &error, options).await,
            Some(Ok(message)) => {
                let frame = frame(message);
                let leaves = matches!(frame, Frame::Close(_));
                saw(watch.as_ref(), clock, Direction::In, &frame);
                heard_together += 1;
                machine.received(clock.now(), frame);
                if leaves {
                    while let Some(output) = machine.poll_output() {
                        if let Output::Note(note) = output {
                            noted(watch.as_ref(), clock, &note);
                        }
                    }
                    return drain(socket, options.close_patience).await;
                }
            }
        }
    }
}

fn saw(watch: Option<&Watch>, clock: Clock, direction: Direction, frame: &Frame) {
    message_passed(direction, frame);
    if let Some(watch) = watch {
        watch.saw(clock.now(), direction, frame);
    }
}

/// Tells of a fault that was made, to whoever watches and to the log.
pub(super) fn made(watch: Option<&Watch>, clock: Clock, fault: MadeFault) {
    tracing::debug!(%fault, "mock");
    if let Some(watch) = watch {
        watch.made(clock.now(), fault);
    }
}

async fn woken(wake: Option<&Notify>) {
    match wake {
        Some(wake) => wake.notified().await,
        None => std::future::pending().await,
    }
}

fn noted(watch: Option<&Watch>, clock: Clock, note: &impl Display) {
    tracing::debug!(%note, "mock");
    if let Some(watch) = watch {
        watch.noted(clock.now(), note.to_string());
    }
}

/// What test code has sent to the client; nothing for ever where nobody watches.
async fn ordered(orders: &mut Option<Orders>) -> Frame {
    match orders {
        Some(orders) => orders.next().await,
        None => std::future::pending().await,
    }
}

/// Says that it closes and waits until the peer has too.
pub(crate) async fn close(mut socket: WebSocket, frame: Option<CloseFrame>, patience: Duration) {
    let sent = timeout(patience, socket.send(Message::Close(frame.map(axum_close)))).await;
    if let Ok(Ok(())) = sent {
        drain(socket, patience).await;
    }
}

/// Reads until there is no more: the answer to a closing is written by reading.
async fn drain(mut socket: WebSocket, patience: Duration) {
    let _ = timeout(patience, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

/// Closes a connection whose peer broke the rules; one that is gone is left alone.
async fn break_off(socket: WebSocket, error: &axum::Error, options: &MockOptions) {
    if let Some(frame) = broken(error, options.max_message_bytes) {
        record_ws_error(&Span::current(), &error.to_string());
        close(socket, Some(frame), options.close_patience).await;
    }
}

/// What an error of reading says to the peer that made it.
///
/// axum hides the type of the error; its text tells them apart.
pub(crate) fn broken(error: &impl Display, max_message_bytes: usize) -> Option<CloseFrame> {
    let text = error.to_string();
    let close = |code, reason: &str| Some(CloseFrame { code, reason: reason.to_owned() });
    if text.starts_with("Space limit exceeded") {
        close(1_009, &format!("a message has more than {max_message_bytes} bytes"))
    } else if text.starts_with("UTF-8 encoding error") {
        close(1_007, "a text is not UTF-8")
    } else if text.starts_with("WebSocket protocol error") && !text.ends_with("without closing handshake") {
        close(1_002, "the WebSocket protocol was broken")
    } else {
        None
    }
}

/// A frame as axum has it.
pub(crate) fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Ping(bytes) => Message::Ping(bytes),
        Frame::Pong(bytes) => Message::Pong(bytes),
        Frame::Close(close) => Message::Close(close.map(axum_close)),
    }
}

/// A message of axum as machines have it.
pub(crate) fn frame(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Ping(bytes) => Frame::Ping(bytes),
        Message::Pong(bytes) => Frame::Pong(bytes),
        Message::Close(close) => Frame::Close(
            close.map(|close| CloseFrame { code: close.code, reason: close.reason.as_str().to_owned() }),
        ),
    }
}

pub(crate) fn axum_close(close: CloseFrame) -> AxumCloseFrame {
    AxumCloseFrame { code: close.code, reason: close.reason.into() }
}
