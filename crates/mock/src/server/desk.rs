//! Who is connected and what was said, and a hand in it: what test code asks a mock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::observer::{Happening, Observed, Observer};
use super::socket::Clock;
use crate::limits::{FRAME_COST_BYTES, MAX_JOURNAL_BYTES, MAX_JOURNAL_MESSAGES, MAX_ORDERS};
use crate::{CloseFrame, Dialect, Direction, Frame, MadeFault, Recogniser, Time};

/// What all connections of a mock tell, kept for whoever asks.
pub(crate) struct Desk {
    inner: Mutex<Inner>,
    /// Whether messages are kept, and not only told.
    keeps: bool,
    observer: Option<Observer>,
}

#[derive(Default)]
struct Inner {
    next_connection: u64,
    connections: BTreeMap<u64, Open>,
    journal: VecDeque<Entry>,
    bytes: usize,
    next_message: u64,
    /// Those before it were there at the last reset: they are as good as gone.
    first_shown: u64,
}

struct Open {
    path: String,
    opened_unix_ms: i64,
    note: Option<String>,
    orders: mpsc::Sender<Frame>,
}

/// One message of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) connection: u64,
    pub(super) direction: Direction,
    pub(super) unix_ms: i64,
    pub(super) frame: Frame,
}

/// One connection, as it is shown.
pub(super) struct Shown {
    pub(super) id: u64,
    pub(super) path: String,
    pub(super) opened_unix_ms: i64,
    pub(super) note: Option<String>,
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    /// There is no such connection.
    Gone,
    /// It has many orders that it has not come to.
    Busy,
}

impl Desk {
    /// One that keeps messages if wanted, and tells them if somebody listens.
    pub(super) fn new(keeps: bool, observer: Option<Observer>) -> Self {
        Self { inner: Mutex::default(), keeps, observer }
    }

    /// Enters a connection; it stays until its watch is dropped.
    pub(crate) fn open(self: &Arc<Self>, path: &str, dialect: Dialect, now: Time) -> (Watch, Orders) {
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let mut inner = self.inner();
        let id = inner.next_connection;
        inner.next_connection += 1;
        let open = Open { path: path.to_owned(), opened_unix_ms: now.unix_ms, note: None, orders };
        inner.connections.insert(id, open);
        drop(inner);
        let recognisers = Mutex::new([Recogniser::new(dialect), Recogniser::new(dialect)]);
        let watch = Watch { desk: self.clone(), id, path: path.to_owned(), recognisers };
        watch.tell(now.unix_ms, || Happening::Opened);
        (watch, Orders(taken))
    }

    pub(super) fn connections(&self) -> Vec<Shown> {
        let inner = self.inner();
        let shown = inner.connections.range(inner.first_shown..).map(|(id, open)| Shown {
            id: *id,
            path: open.path.clone(),
            opened_unix_ms: open.opened_unix_ms,
            note: open.note.clone(),
        });
        shown.collect()
    }

    /// Up to so many messages from this number on, of one connection or all; and the number behind the last that was looked at.
    pub(super) fn messages(&self, since: u64, connection: Option<u64>, most: usize) -> (Vec<Entry>, u64) {
        let inner = self.inner();
        let fits =
            |entry: &&Entry| entry.number >= since && connection.is_none_or(|id| id == entry.connection);
        let found: Vec<Entry> = inner.journal.iter().filter(fits).take(most).cloned().collect();
        let next = match found.last() {
            Some(last) if found.len() == most => last.number + 1,
            _ => inner.next_message,
        };
        (found, next)
    }

    /// Has a connection send this to its client; a closing closes it.
    pub(super) fn order(&self, id: u64, frame: Frame) -> Result<(), Untaken> {
        let inner = self.inner();
        let open = inner.connections.get(&id).filter(|_| id >= inner.first_shown);
        let orders = open.map(|open| open.orders.clone()).ok_or(Untaken::Gone)?;
        drop(inner);
        orders.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Untaken::Busy,
            mpsc::error::TrySendError::Closed(_) => Untaken::Gone,
        })
    }

    /// Closes all connections and forgets what was said. Numbers go on.
    pub(super) fn reset(&self, close: &CloseFrame) {
        let mut inner = self.inner();
        inner.journal.clear();
        inner.bytes = 0;
        inner.first_shown = inner.next_connection;
        for open in inner.connections.values() {
            let _ = open.orders.try_send(Frame::Close(Some(close.clone())));
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place at the desk.
pub(crate) struct Watch {
    desk: Arc<Desk>,
    id: u64,
    path: String,
    /// Of what comes in and of what goes out.
    recognisers: Mutex<[Recogniser; 2]>,
}

/// What test code has a connection send to its client.
pub(crate) struct Orders(mpsc::Receiver<Frame>);

impl Orders {
    /// The next; there may be none for ever.
    pub(crate) async fn next(&mut self) -> Frame {
        match self.0.recv().await {
            Some(frame) => frame,
            None => std::future::pending().await,
        }
    }
}

impl Watch {
    /// Writes down a message, or a closing.
    pub(crate) fn saw(&self, now: Time, direction: Direction, frame: &Frame) {
        if let Frame::Ping(_) | Frame::Pong(_) = frame {
            return;
        }
        let hears = self.desk.observer.as_ref().is_some_and(Observer::hears_messages);
        if hears || matches!(frame, Frame::Close(_)) {
            self.tell(now.unix_ms, || self.happening(direction, frame));
        }
        if !self.desk.keeps {
            return;
        }
        let mut inner = self.desk.inner();
        if self.id < inner.first_shown {
            return;
        }
        let number = inner.next_message;
        inner.next_message += 1;
        inner.bytes += cost(frame);
        let unix_ms = now.unix_ms;
        inner.journal.push_back(Entry {
            number,
            connection: self.id,
            direction,
            unix_ms,
            frame: frame.clone(),
        });
        while inner.journal.len() > MAX_JOURNAL_MESSAGES || inner.bytes > MAX_JOURNAL_BYTES {
            match inner.journal.pop_front() {
                Some(oldest) => inner.bytes = inner.bytes.saturating_sub(cost(&oldest.frame)),
                None => break,
            }
        }
    }

    /// Keeps what the machine says of itself; only the last counts.
    pub(crate) fn noted(&self, now: Time, note: String) {
        self.tell(now.unix_ms, || Happening::Note(note.clone()));
        if let Some(open) = self.desk.inner().connections.get_mut(&self.id) {
            open.note = Some(note);
        }
    }

    /// Tells of a fault that has happened.
    pub(crate) fn made(&self, now: Time, fault: MadeFault) {
        self.tell(now.unix_ms, || Happening::Fault(fault));
    }

    fn happening(&self, direction: Direction, frame: &Frame) -> Happening {
        if let Frame::Close(close) = frame {
            return Happening::Closing { direction, code: close.as_ref().map(|close| close.code) };
        }
        let mut recognisers = self.recognisers.lock().unwrap_or_else(PoisonError::into_inner);
        let [inward, outward] = &mut *recognisers;
        let recogniser = if direction == Direction::In { inward } else { outward };
        Happening::Message { direction, kind: recogniser.kind(frame), bytes: frame.size() }
    }

    fn tell(&self, unix_ms: i64, what: impl FnOnce() -> Happening) {
        if let Some(observer) = &self.desk.observer {
            observer.tell(&Observed { unix_ms, connection: self.id, path: &self.path, what: what() });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tell(Clock::start().now().unix_ms, || Happening::Gone);
        self.desk.inner().connections.remove(&self.id);
    }
}

fn cost(frame: &Frame) -> usize {
    frame.size() + FRAME_COST_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::NORMAL_CLOSE;

    const NOW: Time = Time { elapsed: Duration::ZERO, unix_ms: 7 };

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    #[test]
    fn the_journal_is_read_in_pages_and_by_connection() {
        let desk = Arc::new(Desk::new(true, None));
        let watches = ["/a", "/b"].map(|path| desk.open(path, Dialect::Unknown, NOW).0);
        for number in 0..4_usize {
            watches[number % 2].saw(NOW, Direction::In, &text(&number.to_string()));
        }
        watches[0].saw(NOW, Direction::In, &Frame::Ping("p".into()));
        let numbers = |since, connection, most| {
            let (found, next) = desk.messages(since, connection, most);
            (found.iter().map(|entry| entry.number).collect::<Vec<_>>(), next)
        };
        assert_eq!(numbers(0, None, 3), (vec![0, 1, 2], 3));
        assert_eq!(numbers(3, None, 3), (vec![3], 4));
        assert_eq!(numbers(0, Some(1), 10), (vec![1, 3], 4));
        desk.reset(&CloseFrame { code: 1_012, reason: String::new() });
        assert_eq!(numbers(0, None, 10), (vec![], 4));
    }

    #[test]
    fn the_journal_is_bounded_in_number_and_in_bytes() {
        let desk = Arc::new(Desk::new(true, None));
        let (watch, _orders) = desk.open("/", Dialect::Unknown, NOW);
        for _ in 0..=MAX_JOURNAL_MESSAGES {
            watch.saw(NOW, Direction::Out, &text(""));
        }
        assert_eq!(desk.messages(0, None, 1).0[0].number, 1);
        let large = Frame::Binary(vec![0; MAX_JOURNAL_BYTES - FRAME_COST_BYTES].into());
        watch.saw(NOW, Direction::Out, &large);
        assert_eq!(desk.inner().journal.len(), 1);
        watch.saw(NOW, Direction::Out, &text(""));
        assert_eq!(desk.inner().journal.len(), 1);
        assert_eq!(desk.inner().bytes, FRAME_COST_BYTES);
    }

    #[tokio::test]
    async fn orders_reach_their_connection_while_it_is_there_and_has_room() {
        let desk = Arc::new(Desk::new(true, None));
        let (watch, mut orders) = desk.open("/", Dialect::Unknown, NOW);
        watch.noted(NOW, "waits".to_owned());
        assert_eq!(desk.connections()[0].note.as_deref(), Some("waits"));
        for _ in 0..MAX_ORDERS {
            desk.order(0, text("a")).unwrap();
        }
        assert_eq!(desk.order(0, text("a")), Err(Untaken::Busy));
        assert_eq!(orders.next().await, text("a"));
        desk.order(0, text("b")).unwrap();
        drop((watch, orders));
        assert_eq!(desk.order(0, text("a")), Err(Untaken::Gone));
        assert!(desk.connections().is_empty());
    }

    #[test]
    fn behind_a_reset_nothing_is_there_of_those_who_were() {
        let desk = Arc::new(Desk::new(true, None));
        let (old, _orders) = desk.open("/ws", Dialect::Unknown, NOW);
        old.saw(NOW, Direction::In, &text("before"));
        desk.reset(&NORMAL_CLOSE);
        // Its closing passes later.
        old.saw(NOW, Direction::Out, &Frame::Close(Some(NORMAL_CLOSE)));
        assert_eq!(desk.messages(0, None, 10).0, []);
        assert!(desk.connections().is_empty());
        assert_eq!(desk.order(0, text("too late")), Err(Untaken::Gone));
        let (new, _orders) = desk.open("/ws", Dialect::Unknown, NOW);
        new.saw(NOW, Direction::In, &text("after"));
        assert_eq!(desk.messages(0, None, 10).0.len(), 1);
        assert_eq!(desk.connections().len(), 1);
    }
}
