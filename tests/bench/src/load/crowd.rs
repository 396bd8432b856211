//! Many links on one thread: they edit, and everything that arrives is checked and counted.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};

use super::door::{Author, Door, Held, Room};
use super::socket::{Got, READ_BYTES, Socket};
use super::token::{Token, tokens};

/// Nothing has arrived for so long: something is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that are taken at a time.
const EVENTS: usize = 1_024;

/// Rooms, and how many are in each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) rooms: usize,
    /// Members of each that hear what another one writes.
    pub(crate) readers: usize,
    /// Whether everybody writes, or one.
    pub(crate) all_write: bool,
}

impl Shape {
    pub(crate) const fn members(&self) -> usize {
        self.readers + 1
    }

    pub(crate) const fn writers(&self) -> usize {
        if self.all_write { self.members() } else { 1 }
    }
}

/// One member of a room.
struct Link {
    socket: Socket,
    room: usize,
    member: usize,
    author: Option<Box<dyn Author>>,
    /// The newest edit heard of each writer.
    heard: Vec<u32>,
}

/// The edits of one writer.
struct Lane {
    link: usize,
    sent: u32,
    /// How often they are still to arrive somewhere.
    missing: usize,
    acknowledged: bool,
    /// When each was due, where that is asked for.
    due: Vec<Instant>,
    /// Edits that are due and wait for the acknowledgement of the one before.
    late: VecDeque<Instant>,
}

impl Lane {
    fn is_done(&self) -> bool {
        self.acknowledged && self.missing == 0
    }
}

/// All links, after they have joined.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    shape: Shape,
    links: Vec<Link>,
    /// A writer of a room has the place `room * writers + writer`.
    lanes: Vec<Lane>,
    /// Whether a writer goes on by itself when everybody has its edits.
    goes_on: bool,
    /// Edits of a writer that may be under way at a time.
    window: usize,
    /// Edits that reached one other member, with the right value and in order.
    deliveries: u64,
    /// From the time that an edit was due until it was read; kept while asked for.
    times: Option<Vec<Duration>>,
}

impl Crowd {
    /// Makes the documents, and has everybody join.
    pub(crate) fn gather(door: &dyn Door, address: SocketAddr, shape: Shape) -> Result<Self> {
        let mut crowd = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            shape,
            links: Vec::new(),
            lanes: Vec::new(),
            goes_on: false,
            window: 1,
            deliveries: 0,
            times: None,
        };
        for number in 0..shape.rooms {
            crowd.fill(door, address, &Room::small(number, shape.writers()))?;
        }
        for (at, link) in crowd.links.iter().enumerate() {
            link.socket.stream.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let fd = link.socket.stream.as_raw_fd();
            crowd.poll.registry().register(&mut SourceFd(&fd), mio::Token(at), interest)?;
        }
        Ok(crowd)
    }

    fn fill(&mut self, door: &dyn Door, address: SocketAddr, room: &Room) -> Result<()> {
        let members = self.shape.members();
        let mut creator = door.connect(address, room, members)?;
        door.create(&mut creator, room)?;
        let mut held = Held::default();
        for member in 0..members {
            let mut socket = door.connect(address, room, member)?;
            held = door.join(&mut socket, room, None, 0)?;
            door.show(&mut socket, room, member)?;
            let heard = vec![0; room.writers];
            self.links.push(Link { socket, room: room.number, member, author: None, heard });
        }
        // Some servers forget a document that nobody has open.
        drop(creator);
        let first = self.links.len() - members;
        for (at, author) in door.authors(room, held)?.into_iter().enumerate() {
            self.links[first + at].author = Some(author);
            self.lanes.push(Lane {
                link: first + at,
                sent: 0,
                missing: 0,
                acknowledged: true,
                due: Vec::new(),
                late: VecDeque::new(),
            });
        }
        Ok(())
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Every writer edits, and again as soon as everybody has its edit.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.start_ahead(1)
    }

    /// Every writer makes so many edits at once, and as many again as are missing when half of them are with everybody: more than any server can do.
    /// It must not wait for acknowledgements.
    pub(crate) fn start_ahead(&mut self, window: usize) -> Result<()> {
        (self.goes_on, self.window) = (true, window);
        (0..self.lanes.len()).try_for_each(|lane| self.send(lane, window))
    }

    /// Everybody goes on for so long.
    pub(crate) fn run(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut news = (self.deliveries, Instant::now());
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left.min(Duration::from_millis(10)))?;
            self.check(&mut news)?;
        }
        Ok(())
    }

    /// So many edits a second in all, each at its time, whoever is late; how long each took to each receiver.
    pub(crate) fn pace(&mut self, edits_per_second: f64, time: Duration) -> Result<Vec<Duration>> {
        let started = Instant::now();
        self.times = Some(Vec::new());
        let gap = Duration::from_secs_f64(1.0 / edits_per_second);
        let mut next = 0;
        loop {
            let now = Instant::now();
            if now - started >= time {
                break;
            }
            while started + gap * next <= now {
                let lane = next as usize % self.lanes.len();
                self.lanes[lane].late.push_back(started + gap * next);
                if self.lanes[lane].acknowledged {
                    self.send(lane, 1)?;
                }
                next += 1;
            }
            // Whoever sleeps wakes late: the generator has its core for itself.
            self.turn(Duration::ZERO)?;
        }
        self.settle()?;
        Ok(self.times.take().unwrap_or_default())
    }

    /// Nobody goes on; waits until everybody has everything.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.goes_on = false;
        let mut news = (self.deliveries, Instant::now());
        while !self.lanes.iter().all(|lane| lane.is_done() && lane.late.is_empty()) {
            self.turn(Duration::from_millis(10))?;
            self.check(&mut news)?;
        }
        Ok(())
    }

    fn check(&self, news: &mut (u64, Instant)) -> Result<()> {
        if self.deliveries > news.0 {
            *news = (self.deliveries, Instant::now());
        }
        if news.1.elapsed() > PATIENCE {
            let waiting = self.lanes.iter().filter(|lane| !lane.is_done()).count();
            let unacknowledged = self.lanes.iter().filter(|lane| !lane.acknowledged).count();
            bail!(
                "nothing arrives; edits of {waiting} writers are under way, {unacknowledged} of them not acknowledged"
            );
        }
        Ok(())
    }

    /// Sends a writer's next edits, in one go.
    fn send(&mut self, lane: usize, edits: usize) -> Result<()> {
        let writers = self.shape.writers();
        let (room, writer) = (lane / writers, lane % writers);
        let lane = &mut self.lanes[lane];
        let link = &mut self.links[lane.link];
        let author = link.author.as_mut().context("this member does not write")?;
        let mut out = Vec::new();
        for _ in 0..edits {
            lane.sent += 1;
            if self.times.is_some() {
                lane.due.push(lane.late.pop_front().context("no edit is due")?);
            }
            lane.missing += self.shape.readers;
            lane.acknowledged = !author.is_told();
            author.edit(Token { room, writer, number: lane.sent }, &mut out)?;
        }
        link.socket.write(&out)
    }

    /// Waits for what comes, at most so long, and takes it.
    fn turn(&mut self, patience: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let ready: Vec<_> = self
            .events
            .iter()
            .map(|event| (event.token().0, event.is_readable(), event.is_writable()))
            .collect();
        for (at, is_readable, is_writable) in ready {
            if is_writable {
                self.links[at].socket.flush()?;
            }
            if is_readable {
                self.read(at)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<()> {
        let mut free = Vec::new();
        loop {
            let got = self.links[at].socket.read(&mut self.buffer)?;
            let Got::Bytes(read) = got else { break };
            self.take(at, &mut free)?;
            // A short read has left nothing behind.
            if read < self.buffer.len() {
                break;
            }
        }
        for lane in free {
            let ready = &self.lanes[lane];
            let under_way = ready.missing.div_ceil(self.shape.readers);
            if ready.acknowledged && !ready.late.is_empty() {
                self.send(lane, 1)?;
            } else if self.goes_on && ready.acknowledged && under_way <= self.window / 2 {
                self.send(lane, self.window - under_way)?;
            }
        }
        Ok(())
    }

    /// Takes the frames of a link; notes the writers that may have become free.
    fn take(&mut self, at: usize, free: &mut Vec<usize>) -> Result<()> {
        let now = Instant::now();
        let writers = self.shape.writers();
        let few = self.window / 2 * self.shape.readers;
        let Link { socket, room, member, author, heard } = &mut self.links[at];
        while let Some(payload) = socket.next_frame()? {
            for token in tokens(payload) {
                ensure!(token.room == *room, "a link of room {room} was told of {token}");
                let heard = heard.get_mut(token.writer).context("told of somebody who does not write")?;
                if token.writer == *member || token.number <= *heard {
                    continue;
                }
                ensure!(token.number == *heard + 1, "an edit is missing before {token}");
                *heard = token.number;
                let place = *room * writers + token.writer;
                let lane = &mut self.lanes[place];
                ensure!(token.number <= lane.sent, "nobody has written {token}");
                lane.missing -= 1;
                self.deliveries += 1;
                if let Some(times) = &mut self.times
                    && let Some(due) = lane.due.get(token.number as usize - 1)
                {
                    times.push(now - *due);
                }
                if lane.missing == few {
                    free.push(place);
                }
            }
            if let Some(author) = author
                && author.hear(payload)?
            {
                let place = *room * writers + *member;
                self.lanes[place].acknowledged = true;
                free.push(place);
            }
        }
        Ok(())
    }
}
