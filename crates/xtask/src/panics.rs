//! Takes the words out of a module's panics.
//!
//! A panic in a page is a trap, whatever it would say: nobody reads the message, and the page loads the code that writes it. What panics keep
//! in a module is a fiftieth of it. The functions that end in one become an `unreachable` each, and `wasm-opt` removes what only they used.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// How the names begin, as wasm-bindgen writes them, of the functions of Rust's own libraries that panic and never return. What stands in brackets of a name is left out.
const PANICS: &[&str] = &[
    "__rustc::rust_begin_unwind",
    "alloc::alloc::handle_alloc_error",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "core::cell::panic_already",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::",
    "core::result::unwrap_failed",
    "core::slice::index::slice_index_fail",
    "core::str::slice_error_fail",
    "std::panicking::",
];

/// Every panic ends here. A module without it has other names than these.
const END_OF_ALL: &str = "core::panicking::panic_fmt";

/// The body of a function that traps: no locals, `unreachable`, `end`.
const TRAP: &[u8] = &[0x00, 0x00, 0x0b];

/// Bytes before the first section: magic and version.
const HEADER_BYTES: usize = 8;

/// Kinds of sections.
mod section {
    pub(super) const CUSTOM: u8 = 0;
    pub(super) const IMPORT: u8 = 2;
    pub(super) const CODE: u8 = 10;
}

/// The part of the section `name` that has the names of functions.
const FUNCTION_NAMES: u8 = 1;

/// Makes each panic of a module that wasm-bindgen has written a bare trap, and removes what debuggers read; functions keep their names. Fails where the names are none
/// that this knows, as another compiler may give them.
pub(crate) fn silenced(module: &[u8]) -> Result<Vec<u8>> {
    let sections = sections(module)?;
    let mut imported = 0;
    let mut names = BTreeMap::new();
    for (kind, content) in &sections {
        match *kind {
            section::IMPORT => imported = imported_functions(content).context("of the imports")?,
            section::CUSTOM => {
                let (name, rest) = custom(content)?;
                if name == b"name" {
                    names = function_names(rest).context("of the names")?;
                }
            }
            _ => {}
        }
    }
    if !names.values().any(|name| name == END_OF_ALL) {
        bail!("there is no function `{END_OF_ALL}`: compile with names, or see how this compiler calls it");
    }
    let panics = |index: usize| {
        names.get(&(imported + index)).is_some_and(|name| PANICS.iter().any(|panic| name.starts_with(panic)))
    };
    let mut out = module.get(..HEADER_BYTES).unwrap_or_default().to_vec();
    for (kind, content) in sections {
        match kind {
            section::CODE => write_section(&mut out, kind, &code(content, panics).context("of the code")?),
            section::CUSTOM if custom(content)?.0.starts_with(b".debug") => {}
            _ => write_section(&mut out, kind, content),
        }
    }
    Ok(out)
}

fn sections(module: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut input = Input(module);
    input.bytes(HEADER_BYTES)?;
    let mut sections = Vec::new();
    while !input.0.is_empty() {
        let kind = input.byte()?;
        sections.push((kind, input.sized()?));
    }
    Ok(sections)
}

fn custom(content: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut input = Input(content);
    Ok((input.sized()?, input.0))
}

fn imported_functions(content: &[u8]) -> Result<usize> {
    let mut input = Input(content);
    let mut functions = 0;
    for _ in 0..input.integer()? {
        input.sized()?;
        input.sized()?;
        match input.byte()? {
            0 => {
                input.integer()?;
                functions += 1;
            }
            kind => {
                bail!("an import is of the kind {kind}; only functions are imported by what is compiled here")
            }
        }
    }
    Ok(functions)
}

/// Names of functions by their index, without what stands in brackets: `core[1f2e]::panicking::panic` is `core::panicking::panic`.
fn function_names(content: &[u8]) -> Result<BTreeMap<usize, String>> {
    let mut input = Input(content);
    let mut names = BTreeMap::new();
    while !input.0.is_empty() {
        let kind = input.byte()?;
        let mut part = Input(input.sized()?);
        if kind != FUNCTION_NAMES {
            continue;
        }
        for _ in 0..part.integer()? {
            let index = part.integer()?;
            names.insert(index, without_brackets(&String::from_utf8_lossy(part.sized()?)));
        }
    }
    Ok(names)
}

fn without_brackets(name: &str) -> String {
    let mut depth = 0_usize;
    let is_outside = |character: &char| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    name.chars().filter(is_outside).collect()
}

/// The section of bodies, in which the functions that `panics` says are traps.
fn code(content: &[u8], panics: impl Fn(usize) -> bool) -> Result<Vec<u8>> {
    let mut input = Input(content);
    let count = input.integer()?;
    let mut out = Vec::with_capacity(content.len());
    write_integer(&mut out, count);
    for index in 0..count {
        let body = input.sized()?;
        let body = if panics(index) { TRAP } else { body };
        write_integer(&mut out, body.len());
        out.extend_from_slice(body);
    }
    Ok(out)
}

fn write_section(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(kind);
    write_integer(out, content.len());
    out.extend_from_slice(content);
}

/// Writes an integer in seven bits a byte, lowest first.
fn write_integer(out: &mut Vec<u8>, integer: usize) {
    let mut rest = integer;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).context("the module is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Bytes behind their number.
    fn sized(&mut self) -> Result<&'a [u8]> {
        let count = self.integer()?;
        self.bytes(count)
    }

    fn integer(&mut self) -> Result<usize> {
        let mut integer = 0;
        // What has 32 bits takes five bytes.
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            integer |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(integer);
            }
        }
        bail!("an integer has more than 32 bits")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sized(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_integer(&mut out, bytes.len());
        out.extend_from_slice(bytes);
        out
    }

    fn section(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind][..], &sized(content)].concat()
    }

    fn custom(name: &str, content: &[u8]) -> Vec<u8> {
        section(section::CUSTOM, &[&sized(name.as_bytes()), content].concat())
    }

    /// Two imported functions, and one of its own for each name, whose body is 200 times its index.
    fn module(names: &[&str]) -> Vec<u8> {
        let import = [&sized(b"wbg")[..], &sized(b"f"), &[0, 0]].concat();
        let mut code = vec![u8::try_from(names.len()).unwrap()];
        let mut functions = vec![u8::try_from(names.len()).unwrap()];
        for (index, name) in (0_u8..).zip(names) {
            code.extend(sized(&[index; 200]));
            functions.push(2 + index);
            functions.extend(sized(name.as_bytes()));
        }
        let names = section(FUNCTION_NAMES, &functions);
        [
            b"\0asm\x01\0\0\0".to_vec(),
            section(section::IMPORT, &[&[2][..], &import, &import].concat()),
            section(section::CODE, &code),
            custom(".debug_info", b"lines"),
            custom("name", &names),
            custom("other", b"kept"),
        ]
        .concat()
    }

    fn bodies(module: &[u8]) -> Vec<Vec<u8>> {
        let sections = sections(module).unwrap();
        let (_, content) = sections.iter().find(|(kind, _)| *kind == section::CODE).unwrap();
        let mut input = Input(content);
        let count = input.integer().unwrap();
        (0..count).map(|_| input.sized().unwrap().to_vec()).collect()
    }

    #[test]
    fn what_panics_traps_and_everything_else_stays() {
        let silent = silenced(&module(&[
            "rejoin::work",
            "core[1f2e]::panicking::panic_fmt",
            "core::panicking::assert_failed::<usize, [u8]>",
            "rejoin::core::panicking::mine",
            "core[1f2e]::str::slice_error_fail_rt",
        ]))
        .unwrap();
        let trap = TRAP.to_vec();
        assert_eq!(bodies(&silent), [vec![0; 200], trap.clone(), trap.clone(), vec![3; 200], trap]);
        let customs: Vec<_> = sections(&silent)
            .unwrap()
            .into_iter()
            .filter(|(kind, _)| *kind == section::CUSTOM)
            .map(|(_, content)| super::custom(content).unwrap().0)
            .collect();
        assert_eq!(customs, [&b"name"[..], b"other"]);
    }

    #[test]
    fn a_module_without_the_names_is_refused() {
        for names in [&[][..], &["core::panicking::panic"]] {
            let said = silenced(&module(names)).unwrap_err().to_string();
            assert!(said.contains("see how this compiler calls it"), "{said}");
        }
    }

    #[test]
    fn a_module_that_is_cut_off_is_refused() {
        let whole = module(&["core::panicking::panic_fmt"]);
        let last = whole.len() - custom("other", b"kept").len();
        for end in (0..whole.len()).filter(|end| *end < last) {
            assert!(silenced(&whole[..end]).is_err(), "{end}");
        }
    }
}
