//! Relative positions: places in a type that stay where they are while others edit, as carets do. Yjs has a binary form and one in JSON.

use std::sync::Arc;

use rejoin_json::{Json, Object};
use yrs::{Assoc, ClientID, ID, IndexScope, ReadTxn, StickyIndex};

use crate::malformed::{Fault, Malformed};
use crate::reader::{MAX_SAFE_INTEGER, Reader};
use crate::structure::{Id, clock, small};
use crate::update::MAX_CLOCK;
use crate::writing::write;

/// Bytes of a relative position of somebody else.
pub const MAX_POSITION_BYTES: usize = 4_096;

/// A place in a type that stays where it is while others edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    scope: Scope,
    /// Whether it belongs to what stands before it, rather than to what stands after it.
    pub before: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// At an element.
    Element(Id),
    /// At an end of a root.
    Root(Arc<str>),
    /// At an end of a type that is an element.
    Type(Id),
}

impl Position {
    /// Reads the binary form of somebody else.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where it is none, or has more than [`MAX_POSITION_BYTES`].
    pub fn check(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_POSITION_BYTES {
            return Err(Malformed { at: MAX_POSITION_BYTES, fault: Fault::Bytes });
        }
        let mut reader = Reader::new(bytes);
        let start = reader;
        let id = |reader: &mut Reader<'_>| -> Result<Id, Malformed> {
            Ok(Id { client: reader.unsigned(MAX_SAFE_INTEGER)?, clock: small(clock(reader)?) })
        };
        let scope = match reader.byte()? {
            0 => Scope::Element(id(&mut reader)?),
            1 => Scope::Root(reader.text()?.into()),
            2 => Scope::Type(id(&mut reader)?),
            _ => return Err(start.fault(Fault::Kind)),
        };
        // Early versions of Yjs wrote no side. A sign and six bits: all that is not negative is one side.
        let before = match reader.left() {
            0 => false,
            _ => {
                let side = reader.peek().unwrap_or_default();
                reader.signed()?;
                side & 0x40 != 0 && side & 0xbf != 0
            }
        };
        reader.end()?;
        Ok(Self { scope, before })
    }

    /// The binary form.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.scope {
            Scope::Element(id) | Scope::Type(id) => {
                bytes.push(if matches!(self.scope, Scope::Element(_)) { 0 } else { 2 });
                write(&mut bytes, id.client);
                write(&mut bytes, u64::from(id.clock));
            }
            Scope::Root(name) => {
                bytes.push(1);
                write(&mut bytes, name.len() as u64);
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        // Zero, or minus one.
        bytes.push(if self.before { 0x41 } else { 0 });
        bytes
    }

    /// Reads the form in JSON of somebody else; `None` where it is none. Of several scopes the narrowest counts, as in Yjs.
    pub fn from_json(json: &Json) -> Option<Self> {
        let members = json.as_object()?;
        let integer = |json: &Json| json.as_i64().and_then(|number| u64::try_from(number).ok());
        let id = |json: &Json| {
            let members = json.as_object()?;
            let client = integer(members.get("client")?).filter(|client| *client <= MAX_SAFE_INTEGER)?;
            let clock = integer(members.get("clock")?).filter(|clock| *clock <= MAX_CLOCK)?;
            Some(Id { client, clock: small(clock) })
        };
        let present = |name: &str| members.get(name).filter(|value| **value != Json::Null);
        let scope = match (present("item"), present("tname"), present("type")) {
            (Some(item), _, _) => Scope::Element(id(item)?),
            (_, Some(name), _) => {
                Scope::Root(name.as_str().filter(|name| name.len() < MAX_POSITION_BYTES)?.into())
            }
            (_, _, Some(of)) => Scope::Type(id(of)?),
            _ => return None,
        };
        let before = match present("assoc") {
            Some(side) => side.as_i64()? < 0,
            None => false,
        };
        Some(Self { scope, before })
    }

    /// The form in JSON.
    pub fn to_json(&self) -> Json {
        let id = |id: &Id| -> Json {
            let mut members = Object::new();
            // Up to 2^53, which is exact.
            #[allow(clippy::cast_precision_loss)]
            members.insert("client", Json::number(id.client as f64).unwrap_or(Json::Null));
            members.insert("clock", Json::from(id.clock));
            members.into()
        };
        let mut members = Object::new();
        match &self.scope {
            Scope::Element(of) => members.insert("item", id(of)),
            Scope::Root(name) => members.insert("tname", Json::from(&**name)),
            Scope::Type(of) => members.insert("type", id(of)),
        };
        members.insert("assoc", Json::from(if self.before { -1_i32 } else { 0 }));
        members.into()
    }

    /// At an index of a type; `None` behind its end.
    pub(crate) fn at<T: ReadTxn>(
        transaction: &T,
        of: &impl yrs::IndexedSequence,
        length: u32,
        index: u32,
        before: bool,
    ) -> Option<Self> {
        if index > length {
            return None;
        }
        let side = if before { Assoc::Before } else { Assoc::After };
        let sticky = if index == length && !before {
            StickyIndex::from_type(transaction, of, side)
        } else {
            of.sticky_index(transaction, index, side)?
        };
        let own = |id: &ID| Id { client: id.client.get(), clock: id.clock };
        let scope = match sticky.scope() {
            IndexScope::Relative(id) => Scope::Element(own(id)),
            IndexScope::Root(name) => Scope::Root(Arc::clone(name)),
            IndexScope::Nested(id) => Scope::Type(own(id)),
        };
        Some(Self { scope, before })
    }

    /// As yrs has it.
    pub(crate) fn sticky(&self) -> StickyIndex {
        let id = |id: &Id| ID::new(ClientID::new(id.client), id.clock);
        let scope = match &self.scope {
            Scope::Element(of) => IndexScope::Relative(id(of)),
            Scope::Root(name) => IndexScope::Root(Arc::clone(name)),
            Scope::Type(of) => IndexScope::Nested(id(of)),
        };
        StickyIndex::new(scope, if self.before { Assoc::Before } else { Assoc::After })
    }
}
