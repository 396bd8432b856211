//! Sends generated events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::Instant;

use super::condition::{EventAction, EventCondition};
use super::config::{ReplayAugmentationConfig, WebSocketAiConfig};
use super::error::EventError;
use super::scenario::Event;
use super::schema::EventSchema;
use super::source::{Provider, Source};
use crate::Frame;
use crate::limits::{CLOSE_PATIENCE, MAX_EVENT_RATE, MAX_EVENTS, MAX_NARRATIVE_BYTES, WRITE_PATIENCE};
use crate::server::Outbox;
use crate::spans::{create_ws_message_span, record_ws_message_success};

/// Streams generated events to WebSockets, each as soon as it is made.
///
/// ```
/// use axum::extract::ws::WebSocket;
/// use rejoin_mock::{AiEventGenerator, ReplayAugmentationConfig};
///
/// async fn handle_ai_events(socket: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
///     let config = ReplayAugmentationConfig {
///         narrative: "Simulate a live chat conversation with multiple users".to_string(),
///         event_count: 50,
///         ..Default::default()
///     };
///
///     let generator = AiEventGenerator::new(config)?;
///     generator.stream_events_with_rate(socket, None, 2.0).await?; // 2 events/sec
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AiEventGenerator {
    config: ReplayAugmentationConfig,
    provider: Provider,
    schema: Option<EventSchema>,
}

/// What became of a stream of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSummary {
    /// Events that were sent.
    pub sent: u64,
    /// Events in whose place a model wrote nothing of use, however often.
    pub skipped: u64,
    /// Events that a condition held back.
    pub held_back: u64,
}

impl AiEventGenerator {
    /// Checks the configuration. A provider that wants a key has to have one; nobody is asked yet.
    pub fn new(config: ReplayAugmentationConfig) -> Result<Self, EventError> {
        if config.event_count > MAX_EVENTS {
            return Err(EventError::Count);
        }
        if config.narrative.len() > MAX_NARRATIVE_BYTES {
            return Err(EventError::Narrative);
        }
        config.events_per_second.map(pause).transpose()?;
        let schema = config.schema.as_ref().map(EventSchema::new).transpose()?;
        let provider = Provider::new(&config, |name| std::env::var(name).ok())?;
        Ok(Self { config, provider, schema })
    }

    /// The generator of a configuration that is enabled and has one.
    pub fn of(config: &WebSocketAiConfig) -> Result<Option<Self>, EventError> {
        let replay = config.replay.clone().filter(|_| config.enabled);
        let replay = replay.map(|mut replay| {
            replay.event_count =
                config.max_events.map_or(replay.event_count, |most| most.min(replay.event_count));
            replay
        });
        replay.map(Self::new).transpose()
    }

    /// Sends events until there are `max_events`, or as many as the configuration says, or its time is over; then closes with 1000. A client that
    /// closes earlier has had enough; what it says is passed over.
    pub async fn stream_events(
        &self,
        socket: WebSocket,
        max_events: Option<usize>,
    ) -> Result<EventSummary, EventError> {
        let pause = self.config.events_per_second.map(pause).transpose()?;
        self.stream(socket, max_events, pause.unwrap_or_default()).await
    }

    /// The same at that rate. Where events take longer than that to be made, they come as they are made.
    pub async fn stream_events_with_rate(
        &self,
        socket: WebSocket,
        max_events: Option<usize>,
        events_per_second: f64,
    ) -> Result<EventSummary, EventError> {
        self.stream(socket, max_events, pause(events_per_second)?).await
    }

    /// Sends events into an outbox, each when the one before has been taken.
    pub(crate) async fn feed(&self, outbox: &Outbox) -> Result<EventSummary, EventError> {
        let pause = self.config.events_per_second.map(pause).transpose()?;
        let mut run = self.run(self.config.event_count, pause.unwrap_or_default())?;
        while !run.is_over() {
            for event in run.next().await? {
                outbox.send(Frame::Text(event.to_json())).await.map_err(|_| EventError::Closed)?;
                outbox.emptied().await.map_err(|_| EventError::Closed)?;
                run.summary.sent += 1;
            }
        }
        Ok(run.summary)
    }

    async fn stream(
        &self,
        mut socket: WebSocket,
        max_events: Option<usize>,
        pause: Duration,
    ) -> Result<EventSummary, EventError> {
        let count = max_events.unwrap_or(self.config.event_count);
        if count > MAX_EVENTS {
            return Err(EventError::Count);
        }
        let mut run = self.run(count, pause)?;
        let mut end = Ok(());
        while !run.is_over() {
            let made = tokio::select! {
                made = run.next() => made,
                heard = leaving(&mut socket) => return heard.map(|()| run.summary),
            };
            match made {
                Ok(events) => {
                    for event in events {
                        let text = event.to_json();
                        let span = create_ws_message_span(text.len(), "out");
                        record_ws_message_success(&span, text.len());
                        let sent = socket.send(Message::Text(text.into()));
                        match tokio::time::timeout(WRITE_PATIENCE, sent).await {
                            Ok(Ok(())) => run.summary.sent += 1,
                            _ => return Err(EventError::Closed),
                        }
                    }
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        let (code, reason) = if end.is_ok() { (1_000, "") } else { (1_011, "no more events can be made") };
        close(socket, CloseFrame { code, reason: reason.into() }).await;
        end.map(|()| run.summary)
    }

    fn run(&self, count: usize, pause: Duration) -> Result<Run<'_>, EventError> {
        let random = || getrandom::u64().map_err(|error| EventError::Randomness(error.to_string()));
        let seed = self.config.seed.map_or_else(random, Ok)?;
        let source = Source::new(&self.provider, &self.config, self.schema.as_ref(), seed);
        let start = Instant::now();
        let ends = self.config.duration.and_then(|duration| start.checked_add(duration));
        let conditions = &self.config.conditions;
        let summary = EventSummary::default();
        Ok(Run { source, left: count, sequence: 0, due: start, pause, ends, conditions, summary })
    }
}

/// The events of one connection.
struct Run<'a> {
    source: Source,
    left: usize,
    sequence: u64,
    /// When the next may be sent.
    due: Instant,
    pause: Duration,
    ends: Option<Instant>,
    conditions: &'a [EventCondition],
    summary: EventSummary,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        self.left == 0
    }

    /// What is to be sent next: an event and what follows from it.
    async fn next(&mut self) -> Result<Vec<Event>, EventError> {
        let ends = self.ends;
        let over = async move {
            match ends {
                Some(ends) => tokio::time::sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        let made = tokio::select! {
            made = self.make() => made?,
            () = over => {
                self.left = 0;
                None
            }
        };
        let Some((kind, data)) = made else { return Ok(Vec::new()) };
        let event = self.event(kind, data);
        let shown = event.to_json();
        let (mut sent, mut following) = (true, Vec::new());
        for action in EventCondition::all(self.conditions, &shown) {
            match action {
                EventAction::Skip => sent = false,
                EventAction::Stop => self.left = 0,
                EventAction::Send { kind, data } => following.push((kind.clone(), data.clone())),
                EventAction::Rate(rate) => self.pause = pause(*rate).unwrap_or(self.pause),
            }
        }
        self.due = Instant::now() + self.pause;
        let mut events = Vec::new();
        if sent {
            events.push(event);
        } else {
            // Its number is the next one's: those that are sent have no gaps.
            self.sequence -= 1;
            self.summary.held_back += 1;
        }
        events.extend(following.into_iter().map(|(kind, data)| self.event(kind, data)));
        Ok(events)
    }

    /// The next event at its time; `None` where none could be made.
    async fn make(&mut self) -> Result<Option<(String, serde_json::Value)>, EventError> {
        tokio::time::sleep_until(self.due).await;
        let made = self.source.next(self.left).await?;
        self.left = self.left.saturating_sub(1);
        self.summary.skipped += u64::from(made.is_none());
        Ok(made)
    }

    fn event(&mut self, kind: String, data: serde_json::Value) -> Event {
        self.sequence += 1;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        Event::new(kind, data, self.sequence, unix_ms)
    }
}

fn pause(events_per_second: f64) -> Result<Duration, EventError> {
    if events_per_second > 0.0 && events_per_second <= MAX_EVENT_RATE {
        Duration::try_from_secs_f64(events_per_second.recip()).map_err(|_| EventError::Rate)
    } else {
        Err(EventError::Rate)
    }
}

/// Waits until the client leaves.
async fn leaving(socket: &mut WebSocket) -> Result<(), EventError> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Close(_))) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(EventError::Closed),
        }
    }
}

async fn close(mut socket: WebSocket, frame: CloseFrame) {
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
}
