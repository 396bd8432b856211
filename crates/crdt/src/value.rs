//! Values within an update: lib0's own, and JSON.

use serde::de::IgnoredAny;

use crate::malformed::{Fault, Malformed};
use crate::reader::Reader;
use crate::update::MAX_DEPTH;

/// Passes over so many values of lib0.
pub(crate) fn values(reader: &mut Reader<'_>, count: u64) -> Result<(), Malformed> {
    // How many come at each level, and whether each has a key.
    let mut levels = [(0, false); MAX_DEPTH];
    let mut depth = 0;
    levels[0] = (count, false);
    loop {
        let Some((left, keyed)) = levels.get_mut(depth) else { return Err(reader.fault(Fault::Depth)) };
        if *left == 0 {
            match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return Ok(()),
            }
            continue;
        }
        *left -= 1;
        if *keyed {
            reader.text()?;
        }
        let start = *reader;
        let inner = match reader.byte()? {
            // Undefined, null, false, true.
            127 | 126 | 121 | 120 => None,
            125 => {
                reader.signed()?;
                None
            }
            124 => {
                reader.take(4)?;
                None
            }
            // A double, an integer of 64 bits.
            123 | 122 => {
                reader.take(8)?;
                None
            }
            119 => {
                reader.text()?;
                None
            }
            116 => {
                reader.buffer()?;
                None
            }
            118 => Some((reader.count(2)?, true)),
            117 => Some((reader.count(1)?, false)),
            _ => return Err(start.fault(Fault::Kind)),
        };
        if let Some(inner) = inner {
            depth += 1;
            *levels.get_mut(depth).ok_or(start.fault(Fault::Depth))? = inner;
        }
    }
}

/// JSON in a text.
pub(crate) fn json<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let start = *reader;
    let text = reader.text()?;
    if depth(text) > MAX_DEPTH {
        return Err(start.fault(Fault::Depth));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(text),
        Err(_) => Err(start.fault(Fault::Json)),
    }
}

/// How deep brackets stand within brackets, in what may be JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}
