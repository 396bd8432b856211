//! Messages as the frames of a WebSocket that the server writes: nothing in them is of one connection, so that they can be shared.

use bytes::{Bytes, BytesMut};
use rejoin_core::Payload;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Larger messages are written in fragments of so many bytes: pings and pongs can pass between them.
pub(crate) const FRAGMENT_BYTES: usize = 64 * 1024;

/// Bytes before the content of a frame, at most.
const MAX_HEAD_BYTES: usize = 10;

/// A binary message.
pub(crate) fn message(message: &Bytes) -> Payload {
    if message.len() <= FRAGMENT_BYTES {
        return Payload::binary(frame(message.clone(), Data::Binary, true));
    }
    let last = (message.len() - 1) / FRAGMENT_BYTES;
    Payload::binaries((0..=last).map(|number| {
        let start = number * FRAGMENT_BYTES;
        let part = message.slice(start..message.len().min(start + FRAGMENT_BYTES));
        let kind = if number == 0 { Data::Binary } else { Data::Continue };
        frame(part, kind, number == last)
    }))
}

/// Binary messages, which go out together.
pub(crate) fn messages(messages: impl Iterator<Item = Bytes>) -> Payload {
    let mut frames = BytesMut::new();
    for message in messages {
        frames.extend_from_slice(&frame(message, Data::Binary, true));
    }
    Payload::binary(frames.freeze())
}

fn frame(content: Bytes, kind: Data, is_last: bool) -> Bytes {
    let mut bytes = Vec::with_capacity(content.len() + MAX_HEAD_BYTES);
    let frame = Frame::message(content, OpCode::Data(kind), is_last);
    frame.format(&mut bytes).expect("invariant: a vector takes everything");
    bytes.into()
}

/// The messages that such payloads come to.
#[cfg(test)]
pub(crate) fn read(payloads: &[Payload]) -> Vec<Vec<u8>> {
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

    let bytes: Vec<u8> =
        payloads.iter().flat_map(Payload::frames).flat_map(|frame| frame.payload().to_vec()).collect();
    let mut rest = std::io::Cursor::new(bytes);
    let (mut messages, mut message) = (Vec::new(), Vec::new());
    while let Some((head, length)) = FrameHeader::parse(&mut rest).expect("a head") {
        let start = usize::try_from(rest.position()).expect("a place");
        let end = start + usize::try_from(length).expect("a length");
        let kind = if message.is_empty() { Data::Binary } else { Data::Continue };
        assert_eq!((head.opcode, head.mask), (OpCode::Data(kind), None));
        message.extend_from_slice(&rest.get_ref()[start..end]);
        rest.set_position(end as u64);
        if head.is_final {
            messages.push(std::mem::take(&mut message));
        }
    }
    assert!(message.is_empty(), "a message has no end");
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_frames_and_large_ones_fragments() {
        for (length, fragments) in [
            (1, 1),
            (125, 1),
            (126, 1),
            (FRAGMENT_BYTES, 1),
            (FRAGMENT_BYTES + 1, 2),
            (3 * FRAGMENT_BYTES, 3),
        ] {
            let content = Bytes::from(vec![7; length]);
            let payload = message(&content);
            assert_eq!(payload.frames().len(), fragments, "{length}");
            assert_eq!(read(&[payload]), [content.to_vec()], "{length}");
        }
        let together = messages([vec![1; 3], vec![2; 70_000]].into_iter().map(Bytes::from));
        assert_eq!(together.frames().len(), 1);
        assert_eq!(read(&[together]), [vec![1; 3], vec![2; 70_000]]);
    }
}
