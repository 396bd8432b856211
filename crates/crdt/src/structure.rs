//! One structure of an update: its length, what it refers to, and its content.

use crate::malformed::{Fault, Malformed};
use crate::reader::{MAX_SAFE_INTEGER, Reader};
use crate::update::MAX_CLOCK;
use crate::value;

/// The bits of a structure's first byte.
pub(crate) const ORIGIN: u8 = 0x80;
pub(crate) const RIGHT_ORIGIN: u8 = 0x40;
const KEY: u8 = 0x20;
const CONTENT: u8 = 0x1f;

/// What is left of collected structures, and what is left out.
const COLLECTED: u8 = 0;
const SKIPPED: u8 = 10;

/// Contents of which yrs joins neighbours.
const DELETED: u8 = 1;
pub(crate) const TEXT: u8 = 4;
pub(crate) const VALUES: u8 = 8;

/// An element, by its client and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) client: u64,
    pub(crate) clock: u32,
}

/// What a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Left out: whoever has the rest does not have it by this.
    Skipped,
    /// Gone, with what it referred to.
    Collected,
    /// Something that holds others.
    Type,
    /// A mark on a text, from there on.
    Mark,
    /// Anything else.
    Plain,
}

/// One structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Structure {
    pub(crate) kind: Kind,
    /// Clocks that it takes.
    pub(crate) length: u32,
    /// What it stands beside, on the left and the right, and in.
    pub(crate) refers: [Option<Id>; 3],
    /// Whether it goes on where its client's clock before it ends, as typing does.
    pub(crate) follows: bool,
    /// Whether yrs joins it with one of its kind before it.
    pub(crate) joins: bool,
    /// Whether its content is gone.
    pub(crate) is_deleted: bool,
}

/// What stands in front of the content of an element.
pub(crate) struct Head {
    pub(crate) info: u8,
    pub(crate) origin: Option<Id>,
    pub(crate) right: Option<Id>,
    pub(crate) parent: Option<Id>,
}

/// Reads what stands in front of the content of an element.
pub(crate) fn head(reader: &mut Reader<'_>, own: Id) -> Result<Head, Malformed> {
    let info = reader.byte()?;
    let mut head = Head { info, origin: None, right: None, parent: None };
    if info & ORIGIN != 0 {
        head.origin = Some(id(reader, own)?);
    }
    if info & RIGHT_ORIGIN != 0 {
        head.right = Some(id(reader, own)?);
    }
    if info & (ORIGIN | RIGHT_ORIGIN) == 0 {
        match reader.unsigned(1)? {
            1 => drop(reader.text()?),
            _ => head.parent = Some(id(reader, own)?),
        }
        if info & KEY != 0 {
            reader.text()?;
        }
    }
    Ok(head)
}

/// Reads a structure that begins at a clock of a client.
pub(crate) fn read(reader: &mut Reader<'_>, own: Id) -> Result<Structure, Malformed> {
    let start = *reader;
    let (kind, length, refers, content) = match reader.peek() {
        Some(info @ (COLLECTED | SKIPPED)) => {
            reader.byte()?;
            let kind = if info == COLLECTED { Kind::Collected } else { Kind::Skipped };
            (kind, length(reader)?, [None; 3], info)
        }
        _ => {
            let Head { info, origin, right, parent } = head(reader, own)?;
            let (kind, length) = content(reader, info & CONTENT)?;
            (kind, length, [origin, right, parent], info & CONTENT)
        }
    };
    if u64::from(own.clock) + length > MAX_CLOCK {
        return Err(start.fault(Fault::Clock));
    }
    let follows =
        refers[0].is_some_and(|origin| origin.client == own.client && origin.clock + 1 == own.clock);
    let joins = matches!(content, DELETED | TEXT | VALUES);
    Ok(Structure { kind, length: small(length), refers, follows, joins, is_deleted: content == DELETED })
}

/// Where one stands that stands beside nothing: its parent and key, as they are written, behind whether it has a key.
pub(crate) fn front(reader: &mut Reader<'_>) -> Vec<u8> {
    let start = *reader;
    let Ok(info) = reader.byte() else { return Vec::new() };
    let mut front = vec![info & KEY];
    let own = Id { client: u64::MAX, clock: 0 };
    let mut rest = start;
    if head(&mut rest, own).is_ok()
        && let Ok(bytes) = reader.take((rest.at() - reader.at()) as u64)
    {
        front.extend_from_slice(bytes);
    }
    front
}

/// Another element. One's own come before.
fn id(reader: &mut Reader<'_>, own: Id) -> Result<Id, Malformed> {
    let start = *reader;
    let client = reader.unsigned(MAX_SAFE_INTEGER)?;
    let clock = small(clock(reader)?);
    if client == own.client && clock >= own.clock {
        Err(start.fault(Fault::Reference))
    } else {
        Ok(Id { client, clock })
    }
}

pub(crate) fn clock(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let start = *reader;
    // The last element of all is at the clock before the last.
    reader.unsigned(MAX_CLOCK).map_err(|error| match error.fault {
        Fault::Integer => start.fault(Fault::Clock),
        _ => error,
    })
}

pub(crate) fn length(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let start = *reader;
    match clock(reader)? {
        0 => Err(start.fault(Fault::Empty)),
        length => Ok(length),
    }
}

/// A clock that was checked.
pub(crate) fn small(clock: u64) -> u32 {
    u32::try_from(clock).unwrap_or(u32::MAX)
}

/// The content of an element, and its length.
fn content(reader: &mut Reader<'_>, kind: u8) -> Result<(Kind, u64), Malformed> {
    let start = *reader;
    let length = match kind {
        DELETED => length(reader)?,
        // Binary.
        3 => {
            reader.buffer()?;
            1
        }
        // A piece of text, in UTF-16.
        TEXT => {
            let text = reader.text()?;
            match text.chars().map(char::len_utf16).sum::<usize>() {
                0 => return Err(start.fault(Fault::Empty)),
                units => u64::try_from(units).unwrap_or(u64::MAX),
            }
        }
        // An embedded object.
        5 => {
            value::json(reader)?;
            1
        }
        // A mark: its name and value.
        6 => {
            reader.text()?;
            value::json(reader)?;
            return Ok((Kind::Mark, 1));
        }
        // A type.
        7 => {
            match reader.byte()? {
                // Array, map, text, fragment, XML text.
                0 | 1 | 2 | 4 | 6 => {}
                // Element: its name.
                3 => drop(reader.text()?),
                _ => return Err(start.fault(Fault::Kind)),
            }
            return Ok((Kind::Type, 1));
        }
        VALUES => {
            let count = reader.count(1)?;
            if count == 0 {
                return Err(start.fault(Fault::Empty));
            }
            value::values(reader, count)?;
            count
        }
        // A document within: its name and options.
        9 => {
            reader.text()?;
            value::values(reader, 1)?;
            1
        }
        _ => return Err(start.fault(Fault::Kind)),
    };
    Ok((Kind::Plain, length))
}
