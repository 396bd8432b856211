//! What happens on the connections of a mock, as it stands, in a terminal.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rejoin_mock::{Direction, Happening, Observed};

use super::log::{as_line, printable};

/// Connections that are kept with what they do; more are counted only.
const MAX_SHOWN_CONNECTIONS: usize = 1_000;
/// Lines that are kept of what has happened: more than a terminal is high.
const MAX_RECENT_LINES: usize = 200;
/// As often as people can follow.
const REDRAW: Duration = Duration::from_millis(250);
/// Of a terminal that does not say how large it is.
const USUAL_SIZE: (usize, usize) = (24, 80);

/// Another screen than the one with what was typed before, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What is shown, shared by the connections and the thread that draws.
#[derive(Clone, Default)]
pub(super) struct View {
    state: Arc<Mutex<State>>,
    /// The terminal may have another size now.
    resized: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    heading: Vec<String>,
    connections: BTreeMap<u64, Row>,
    open: usize,
    opened: u64,
    /// In and out.
    messages: [u64; 2],
    bytes: [u64; 2],
    faults: u64,
    recent: VecDeque<String>,
}

#[derive(Default)]
struct Row {
    path: String,
    messages: [u64; 2],
    note: String,
}

impl View {
    /// Takes in what has happened.
    pub(super) fn tell(&self, observed: &Observed<'_>) {
        self.state().tell(observed);
    }

    /// Adds a line above all others.
    pub(super) fn head(&self, line: String) {
        self.state().heading.push(line);
    }

    /// Says that the terminal may have another size.
    pub(super) fn resize(&self) {
        self.resized.store(true, Ordering::Relaxed);
    }

    /// Draws until nobody is there to end it, and leaves the terminal as it was.
    pub(super) fn draw(&self, end: &Receiver<String>) -> io::Result<()> {
        let _restored = Restored::enter()?;
        let mut size = terminal_size();
        while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(REDRAW) {
            if self.resized.swap(false, Ordering::Relaxed) {
                size = terminal_size();
            }
            let shown = self.state().rendered(size);
            let mut out = io::stdout().lock();
            out.write_all(shown.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, observed: &Observed<'_>) {
        let id = observed.connection;
        match &observed.what {
            Happening::Opened => {
                self.open += 1;
                self.opened += 1;
                if self.connections.len() < MAX_SHOWN_CONNECTIONS {
                    let row = Row { path: printable(observed.path), ..Row::default() };
                    self.connections.insert(id, row);
                }
            }
            Happening::Gone => {
                self.open = self.open.saturating_sub(1);
                self.connections.remove(&id);
            }
            Happening::Message { direction, bytes, .. } => {
                let way = usize::from(*direction == Direction::Out);
                self.messages[way] += 1;
                self.bytes[way] += *bytes as u64;
                if let Some(row) = self.connections.get_mut(&id) {
                    row.messages[way] += 1;
                }
            }
            Happening::Note(note) => {
                if let Some(row) = self.connections.get_mut(&id) {
                    row.note = printable(note);
                }
            }
            Happening::Fault(_) => self.faults += 1,
            _ => {}
        }
        let line = match &observed.what {
            Happening::Message { direction, kind, bytes } => {
                Some(printable(&format!("connection {id}: {direction} {kind}, {bytes} bytes")))
            }
            _ => as_line(observed),
        };
        if let Some(line) = line {
            if self.recent.len() == MAX_RECENT_LINES {
                self.recent.pop_front();
            }
            self.recent.push_back(line);
        }
    }

    /// The lines of a screen, none longer than it is wide.
    fn lines(&self, (height, width): (usize, usize)) -> Vec<String> {
        let [came, went] = self.messages;
        let [bytes_in, bytes_out] = self.bytes;
        let mut lines = self.heading.clone();
        lines.push(format!(
            "{} open of {}   in {came} ({bytes_in} B)   out {went} ({bytes_out} B)   faults {}",
            self.open, self.opened, self.faults
        ));
        lines.push(String::new());
        lines.push(format!("{:>6} {:>7} {:>7}  {:<16}  {}", "number", "in", "out", "path", "at"));
        // What happens has at least a third of the screen.
        let rows = height.saturating_sub(lines.len() + 2).saturating_sub(height / 3);
        for (id, row) in self.connections.iter().take(rows) {
            let [came, went] = row.messages;
            lines.push(format!("{id:>6} {came:>7} {went:>7}  {:<16}  {}", row.path, row.note));
        }
        let hidden = self.open.saturating_sub(rows.min(self.connections.len()));
        lines.push(if hidden == 0 { String::new() } else { format!("       and {hidden} more") });
        let room = height.saturating_sub(lines.len() + 1);
        let first = self.recent.len().saturating_sub(room);
        lines.extend(self.recent.iter().skip(first).cloned());
        lines.truncate(height.saturating_sub(1));
        lines.iter().map(|line| line.chars().take(width).collect()).collect()
    }

    /// The same as a terminal takes it, each line over what stood there.
    fn rendered(&self, size: (usize, usize)) -> String {
        let mut shown = String::from("\x1b[H");
        for line in self.lines(size) {
            let _ = write!(shown, "{line}\x1b[K\r\n");
        }
        shown + "\x1b[J"
    }
}

/// A terminal that shows the view, until it is dropped.
struct Restored;

impl Restored {
    fn enter() -> io::Result<Self> {
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Self)
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

/// Its height and width.
fn terminal_size() -> (usize, usize) {
    let asked = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut numbers = said.split_whitespace().map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(height), Some(width)) if height > 0 && width > 0 => (height, width),
        _ => USUAL_SIZE,
    }
}

#[cfg(test)]
mod tests {
    use rejoin_mock::Kind;

    use super::*;

    fn tell(state: &mut State, connection: u64, what: Happening) {
        state.tell(&Observed::new(0, connection, "/ws/quite/a/long/path", what));
    }

    fn message(direction: Direction) -> Happening {
        Happening::Message { direction, kind: Kind::Json("chat\u{1b}[2J".to_owned()), bytes: 7 }
    }

    #[test]
    fn connections_messages_and_what_waits_are_seen_in_narrow_and_wide_terminals() {
        let mut state = State { heading: vec!["the mock echoes".to_owned()], ..State::default() };
        tell(&mut state, 3, Happening::Opened);
        tell(&mut state, 3, message(Direction::In));
        tell(&mut state, 3, message(Direction::Out));
        tell(&mut state, 3, message(Direction::Out));
        tell(&mut state, 3, Happening::Note("line 2 waits for a message".to_owned()));
        for width in [60, 200] {
            let lines = state.lines((24, width));
            assert!(lines.len() < 24 && lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
            assert!(lines[1].starts_with("1 open of 1   in 1 (7 B)   out 2 (14 B)"), "{lines:?}");
            assert!(lines[4].starts_with("     3       1       2  /ws/quite"), "{lines:?}");
        }
        assert!(state.lines((24, 200))[4].ends_with("line 2 waits for a message"));
        let shown = state.rendered((24, 200));
        assert!(shown.contains("json.chat\u{fffd}[2J"), "what a client says moves no cursor");
        tell(&mut state, 3, Happening::Gone);
        assert!(state.lines((24, 60))[1].starts_with("0 open of 1"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_small_terminal_is_not_overrun() {
        let mut state = State::default();
        for id in 0..MAX_SHOWN_CONNECTIONS as u64 + 5 {
            tell(&mut state, id, Happening::Opened);
        }
        assert_eq!((state.connections.len(), state.open), (MAX_SHOWN_CONNECTIONS, MAX_SHOWN_CONNECTIONS + 5));
        assert_eq!(state.recent.len(), MAX_RECENT_LINES);
        for height in [1, 3, 5, 24] {
            assert!(state.lines((height, 60)).len() < height.max(2), "{height}");
        }
        let lines = state.lines((24, 60)).join("\n");
        assert!(
            lines.contains("more") && lines.ends_with("connection 1004: opened /ws/quite/a/long/path"),
            "{lines}"
        );
    }
}
