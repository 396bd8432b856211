//! What goes through a proxy: two directions, each with one message on its way.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt, stream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame as UpstreamClose;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as UpstreamMessage};

use super::upstream::Socket;
use crate::server::desk::{Orders, Watch};
use crate::server::recorder::Recorder;
use crate::server::socket::{Clock, axum_close, broken, frame, made, message};
use crate::spans::message_passed;
use crate::{
    CloseFrame, Dialect, Direction, Expander, Faults, Frame, LatencyInjector, MessageTransform, NORMAL_CLOSE,
    Passed, Transformed, close_code,
};

/// What is done to the messages of a connection, and how long is waited.
pub(super) struct Passage {
    pub(super) clock: Clock,
    pub(super) transform: Option<MessageTransform>,
    pub(super) recorder: Option<Recorder>,
    pub(super) watch: Option<Watch>,
    pub(super) link: Option<(LatencyInjector, Dialect)>,
    /// The path of the client's request.
    pub(super) path: String,
    pub(super) seed: u64,
    pub(super) write_patience: Duration,
    pub(super) close_patience: Duration,
    pub(super) stall_patience: Duration,
    pub(super) max_message_bytes: usize,
}

/// Why a direction has ended.
enum End {
    /// Its source has closed.
    Closed(Option<CloseFrame>),
    /// Its source is gone without a word, or has broken the rules: then with what it is closed.
    Broken(Option<CloseFrame>),
    /// Its target takes nothing.
    Stuck,
    /// It has stood still for so long that nobody waits for it.
    Still,
    /// A fault or test code closes both sides.
    Cut(CloseFrame),
}

/// Passes messages until one of the sides closes, and closes the other in the same way.
pub(super) async fn pump(client: WebSocket, upstream: Socket, orders: Option<Orders>, passage: Passage) {
    let (mut to_client, from_client) = client.split();
    let (mut to_upstream, from_upstream) = upstream.split();
    let mut from_client = from_client.map(|heard| heard.map(frame));
    let (cut, cut_by) = oneshot::channel();
    let mut from_upstream = pin!(joined(from_upstream.map(|heard| heard.map(upstream_frame)), orders, cut));
    let max = passage.max_message_bytes;
    // Each direction draws by itself, as how they meet is left to chance.
    let (mut chance_in, mut chance_out) = (Expander::new(passage.seed), Expander::new(!passage.seed));
    let (by_client, end) = {
        let inward = direction(
            Direction::In,
            &mut from_client,
            &mut to_upstream,
            upstream_message,
            &passage,
            &mut chance_in,
        );
        let outward =
            direction(Direction::Out, &mut from_upstream, &mut to_client, message, &passage, &mut chance_out);
        tokio::select! {
            end = inward => (true, end.map_broken(|error: &axum::Error| broken(error, max))),
            end = outward => (false, end.map_broken(|error: &SocketError| broken(error, max))),
            Ok(close) = cut_by => (false, End::Cut(close.unwrap_or(NORMAL_CLOSE))),
        }
    };
    let close = |code, reason: &str| Some(CloseFrame { code, reason: reason.to_owned() });
    let going = close(1_001, "the client is gone");
    // A link that stands still says nothing at its end either, and a socket that is read answers pings.
    let is_still = matches!(end, End::Still);
    let (client_gets, upstream_gets) = match (by_client, end) {
        // The answer to a closing is made by reading on.
        (true, End::Closed(frame)) => (None, Some(frame)),
        (false, End::Closed(frame)) => (Some(frame), None),
        (true, End::Broken(broken)) => (broken.map(Some), Some(going)),
        (false, End::Broken(broken)) => {
            let down = close(close_code::UPSTREAM_DOWN, "the upstream broke off");
            (Some(down), broken.map(Some))
        }
        (true, End::Stuck) => {
            let silent = close(close_code::UPSTREAM_SILENT, "the upstream takes nothing");
            (Some(silent), None)
        }
        (false, End::Stuck) | (_, End::Still) => (None, Some(going)),
        (_, End::Cut(frame)) => (Some(Some(frame.clone())), Some(Some(frame))),
    };
    if let Some(frame) = &client_gets {
        passage.record(Direction::Out, &Frame::Close(frame.clone())).await;
    }
    let ending = async {
        if let Some(frame) = upstream_gets {
            let _ = to_upstream.send(UpstreamMessage::Close(frame.map(upstream_close))).await;
        }
        while let Some(Ok(_)) = from_upstream.next().await {}
    };
    let leaving = async {
        if let Some(frame) = client_gets {
            let _ = to_client.send(Message::Close(frame.map(axum_close))).await;
        }
        while !is_still && let Some(Ok(_)) = from_client.next().await {}
    };
    let _ = timeout(passage.close_patience, async { tokio::join!(ending, leaving) }).await;
    if let Some(recorder) = passage.recorder {
        recorder.finish().await;
    }
}

/// What the upstream says until it ends, and what test code says in its place. That it closes both sides is told apart.
fn joined<E>(
    upstream: impl Stream<Item = Result<Frame, E>>,
    orders: Option<Orders>,
    cut: oneshot::Sender<Option<CloseFrame>>,
) -> impl Stream<Item = Result<Frame, E>> {
    let upstream = upstream.map(Some).chain(stream::once(ready(None)));
    let ordered = stream::iter(orders.map(|orders| (orders, cut))).flat_map(|state| {
        stream::unfold(state, async |(mut orders, cut)| match orders.next().await {
            Frame::Close(close) => {
                let _ = cut.send(close);
                None
            }
            frame => Some((Some(Ok(frame)), (orders, cut))),
        })
    });
    stream::select(upstream, ordered).scan((), |(), heard| ready(heard))
}

/// A direction's end whose fault is still that of its socket.
enum RawEnd<E> {
    Closed(Option<CloseFrame>),
    Gone,
    Failed(E),
    Stuck,
    Still,
    Cut(CloseFrame),
}

impl<E> RawEnd<E> {
    fn map_broken(self, broken: impl FnOnce(&E) -> Option<CloseFrame>) -> End {
        match self {
            Self::Closed(frame) => End::Closed(frame),
            Self::Gone => End::Broken(None),
            Self::Failed(error) => End::Broken(broken(&error)),
            Self::Stuck => End::Stuck,
            Self::Still => End::Still,
            Self::Cut(frame) => End::Cut(frame),
        }
    }
}

/// Passes the messages of one direction. The next is read when the last has been taken, so a slow reader slows its sender down.
async fn direction<E, M>(
    direction: Direction,
    source: &mut (impl Stream<Item = Result<Frame, E>> + Unpin),
    target: &mut (impl Sink<M> + Unpin),
    as_message: impl Fn(Frame) -> M,
    passage: &Passage,
    chance: &mut Expander,
) -> RawEnd<E> {
    let mut link = passage.link(direction);
    // The source has closed, and what it said before is on its way still.
    let mut closing = false;
    loop {
        loop {
            let passed = link.as_mut().and_then(|link| link.poll(passage.clock.now()));
            while let Some(fault) = link.as_mut().and_then(Faults::made) {
                made(passage.watch.as_ref(), passage.clock, fault);
            }
            let Some(passed) = passed else { break };
            match passed {
                Passed::Close(close) => return RawEnd::Cut(close),
                Passed::Frame(Frame::Close(close)) => return RawEnd::Closed(close),
                Passed::Frame(frame) => {
                    if !passage.send(direction, target, &as_message, frame).await {
                        return RawEnd::Stuck;
                    }
                }
            }
        }
        // A socket that is read answers pings and closings, which no half-open link does.
        let open = |link: &Faults| link.wants_more() && !link.is_half_open();
        let reads = !closing && link.as_ref().is_none_or(open);
        let heard = match reads.then(|| source.next().now_or_never()).flatten() {
            Some(heard) => heard,
            None => {
                // Nothing more is there: what was collected goes out.
                let Ok(Ok(())) = timeout(passage.write_patience, target.flush()).await else {
                    return RawEnd::Stuck;
                };
                let deadline = link.as_ref().and_then(Faults::deadline);
                tokio::select! {
                    heard = source.next(), if reads => heard,
                    () = passage.clock.at(deadline) => continue,
                    // A socket that is not read does not show that its peer has left.
                    () = tokio::time::sleep(passage.stall_patience), if !reads && deadline.is_none() => {
                        return RawEnd::Still;
                    }
                }
            }
        };
        let frame = match heard {
            None => return RawEnd::Gone,
            Some(Err(error)) => return RawEnd::Failed(error),
            // Each side answers pings for itself.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
            Some(Ok(frame)) => frame,
        };
        closing = matches!(frame, Frame::Close(_));
        if direction == Direction::In {
            passage.record(direction, &frame).await;
        }
        let Some(frame) = passage.transformed(direction, frame, chance) else { continue };
        match (&mut link, frame) {
            (Some(link), frame) => link.push(passage.clock.now(), frame),
            (None, Frame::Close(close)) => return RawEnd::Closed(close),
            (None, frame) => {
                if !passage.send(direction, target, &as_message, frame).await {
                    return RawEnd::Stuck;
                }
            }
        }
    }
}

impl Passage {
    fn link(&self, direction: Direction) -> Option<Faults> {
        let (link, dialect) = self.link.as_ref()?;
        Some(link.machine(direction, &self.path, self.seed).dialect(*dialect))
    }

    /// The message as the target gets it, if it does.
    fn transformed(&self, direction: Direction, frame: Frame, chance: &mut Expander) -> Option<Frame> {
        let Some(transform) = &self.transform else { return Some(frame) };
        match transform.apply(self.clock.now(), direction, frame, chance) {
            Transformed::Sent(frame) => Some(frame),
            Transformed::Dropped => None,
            Transformed::Unfit(frame, reason) => {
                tracing::debug!(%reason, "a message goes on as it was");
                Some(frame)
            }
        }
    }

    /// Whether the target takes it. What goes to the client is recorded as it goes.
    async fn send<M>(
        &self,
        direction: Direction,
        target: &mut (impl Sink<M> + Unpin),
        as_message: &impl Fn(Frame) -> M,
        frame: Frame,
    ) -> bool {
        if direction == Direction::Out {
            self.record(direction, &frame).await;
        }
        matches!(timeout(self.write_patience, target.feed(as_message(frame))).await, Ok(Ok(())))
    }

    async fn record(&self, direction: Direction, frame: &Frame) {
        message_passed(direction, frame);
        if let Some(watch) = &self.watch {
            watch.saw(self.clock.now(), direction, frame);
        }
        if let Some(recorder) = &self.recorder {
            recorder.record(self.clock.now().elapsed, direction, frame).await;
        }
    }
}

fn upstream_frame(message: UpstreamMessage) -> Frame {
    match message {
        UpstreamMessage::Text(text) => Frame::Text(text.as_str().to_owned()),
        UpstreamMessage::Binary(bytes) => Frame::Binary(bytes),
        UpstreamMessage::Ping(bytes) => Frame::Ping(bytes),
        // Single frames are only met where they are asked for.
        UpstreamMessage::Pong(bytes) => Frame::Pong(bytes),
        UpstreamMessage::Frame(frame) => Frame::Pong(frame.into_payload()),
        UpstreamMessage::Close(close) => Frame::Close(
            close.map(|it| CloseFrame { code: it.code.into(), reason: it.reason.as_str().to_owned() }),
        ),
    }
}

fn upstream_message(frame: Frame) -> UpstreamMessage {
    match frame {
        Frame::Text(text) => UpstreamMessage::Text(text.into()),
        Frame::Binary(bytes) => UpstreamMessage::Binary(bytes),
        Frame::Ping(bytes) => UpstreamMessage::Ping(bytes),
        Frame::Pong(bytes) => UpstreamMessage::Pong(bytes),
        Frame::Close(close) => UpstreamMessage::Close(close.map(upstream_close)),
    }
}

fn upstream_close(close: CloseFrame) -> UpstreamClose {
    UpstreamClose { code: CloseCode::from(close.code), reason: close.reason.into() }
}
