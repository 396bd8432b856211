//! Differences: a small patch that makes one document into another.
//!
//! Objects are compared by key, arrays by the identity of their elements or else by alignment, long strings by hunks.
//! Whatever is found below a container is weighed against replacing the container; the shorter text wins. What would
//! take more than linear time is counted, and where the count ends the container at hand is replaced.

use std::sync::Arc;

use crate::{Json, Object, Operation, Patch, PointerBuf, align::Work, identity::default_identity_keys};

mod array;
mod reorder;
mod similar;
mod text;

/// How documents are compared; the default suits documents within the default [`Limits`](crate::Limits).
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// Members that identify the elements of an array, the first that an element has; see
    /// [`DEFAULT_IDENTITY_KEYS`](crate::DEFAULT_IDENTITY_KEYS).
    pub identity_keys: Arc<[Arc<str>]>,
    /// Most operations in the patch; where there would be more, containers are replaced instead. 0 counts as 1.
    pub max_operations: usize,
    /// Length in bytes from which a string may be spliced; `usize::MAX` for a patch of RFC 6902 operations only.
    pub min_splice_bytes: usize,
    /// Steps, each of the order of a nanosecond, that aligning may take in sum; a walk over both documents is not
    /// counted. Where they end, the array at hand is replaced, and of a text the part that has changed.
    pub max_steps: u64,
    /// Whether elements of arrays are looked for in other places, or compared place by place between the equal ones at both ends. The patch is
    /// longer without, and does the same. Without the feature `alignment` it counts as false; a program that has the feature says false to find
    /// the patches of one that has not.
    pub align_arrays: bool,
}

/// Below this a splice saves less than it costs to read.
const MIN_SPLICE_BYTES: usize = 128;

/// A few steps for each byte of two documents of 8 MiB, or thousands of scattered edits of one text, in about 100 ms.
const MAX_STEPS: u64 = 1 << 26;

impl Default for DiffOptions {
    fn default() -> Self {
        Self {
            identity_keys: default_identity_keys(),
            max_operations: crate::Limits::default().max_operations,
            min_splice_bytes: MIN_SPLICE_BYTES,
            max_steps: MAX_STEPS,
            align_arrays: true,
        }
    }
}

/// Finds a small patch that makes `from` into `to`; it is empty when they are equal.
///
/// Subtrees that both share cost nothing, so that versions of one document are compared in time proportional to what
/// changed. The patch depends on the values and options only, not on what is shared, nor on the platform. Without the feature `alignment`
/// elements of arrays are compared place by place, between the equal ones at both ends.
pub fn diff(from: &Json, to: &Json, options: &DiffOptions) -> Patch {
    if from.ptr_eq(to) {
        return Patch::default();
    }
    let mut differ = Differ::new(options);
    // With one operation allowed and no ceiling, replacing the root always goes through.
    let outcome = differ.value(from, to, usize::MAX);
    debug_assert!(outcome.is_ok(), "invariant: the root can be replaced");
    differ.patch()
}

/// A difference under construction.
struct Differ<'a> {
    options: &'a DiffOptions,
    work: Work,
    /// The place at hand in the document as the operations so far leave it.
    path: Vec<Step<'a>>,
    /// About the length of the path as a pointer; exact where no key needs escaping.
    path_bytes: usize,
    operations: Vec<Draft<'a>>,
    /// The paths of the operations, one behind the other.
    paths: Vec<Step<'a>>,
    /// About the length of the operations as text.
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// An operation that may yet be dropped for a shorter one further up: it has no memory of its own.
#[derive(Debug, Clone, Copy)]
struct Draft<'a> {
    action: Action<'a>,
    /// Where its path ends in [`Differ::paths`]; it begins where that of the one before ends.
    path_end: usize,
}

/// What an operation does at its path.
#[derive(Debug, Clone, Copy)]
enum Action<'a> {
    Add(&'a Json),
    Remove,
    Replace(&'a Json),
    /// Takes the element from this index of the array that the path ends in.
    Move(usize),
    Splice {
        at: usize,
        remove: usize,
        insert: &'a str,
    },
}

/// The operations would take more than the ceiling, or are too many: something further up is better replaced.
struct Exceeded;

/// Lengths of operations without path, value and numbers.
const ADD_BYTES: usize = r#"{"op":"add","path":"","value":},"#.len();
const REMOVE_BYTES: usize = r#"{"op":"remove","path":""},"#.len();
const REPLACE_BYTES: usize = r#"{"op":"replace","path":"","value":},"#.len();
const MOVE_BYTES: usize = r#"{"op":"move","from":"","path":""},"#.len();

impl<'a> Differ<'a> {
    fn new(options: &'a DiffOptions) -> Self {
        Self {
            options,
            work: Work::new(options.max_steps),
            path: Vec::new(),
            path_bytes: 0,
            operations: Vec::new(),
            paths: Vec::new(),
            bytes: 0,
        }
    }

    /// Makes the value at the path into `to`. Fails, with operations left over that the caller drops, when all
    /// operations together would take more than `ceiling` bytes.
    fn value(&mut self, from: &'a Json, to: &'a Json, ceiling: usize) -> Result<(), Exceeded> {
        match (from, to) {
            (Json::Object(a), Json::Object(b)) if a.ptr_eq(b) => Ok(()),
            (Json::Object(a), Json::Object(b)) => {
                self.or_replace(to, ceiling, |differ, ceiling| differ.object(a, b, ceiling))
            }
            (Json::Array(a), Json::Array(b)) if a.ptr_eq(b) => Ok(()),
            (Json::Array(a), Json::Array(b)) => {
                self.or_replace(to, ceiling, |differ, ceiling| differ.array(a, b, ceiling))
            }
            _ if from == to => Ok(()),
            (Json::String(a), Json::String(b)) if a.len().max(b.len()) >= self.options.min_splice_bytes => {
                self.or_replace(to, ceiling, |differ, ceiling| differ.text(a, b, ceiling))
            }
            _ => self.replace(to, ceiling),
        }
    }

    /// Lets `nested` make the value at the path into `to`, and replaces it where that is no shorter or fails.
    fn or_replace(
        &mut self,
        to: &'a Json,
        ceiling: usize,
        nested: impl FnOnce(&mut Self, usize) -> Result<(), Exceeded>,
    ) -> Result<(), Exceeded> {
        let (operations, bytes) = (self.operations.len(), self.bytes);
        let (steps, path_bytes) = (self.path.len(), self.path_bytes);
        let replaced = bytes + REPLACE_BYTES + path_bytes + to.encoded_len();
        if nested(self, ceiling.min(replaced - 1)).is_ok() {
            return Ok(());
        }
        self.operations.truncate(operations);
        self.paths.truncate(self.operations.last().map_or(0, |last| last.path_end));
        self.bytes = bytes;
        self.path.truncate(steps);
        self.path_bytes = path_bytes;
        self.replace(to, ceiling)
    }

    fn object(&mut self, from: &'a Object, to: &'a Object, ceiling: usize) -> Result<(), Exceeded> {
        let (mut from, mut to) = (from.iter().peekable(), to.iter().peekable());
        loop {
            let order = match (from.peek(), to.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let old = if order.is_le() { from.next() } else { None };
            let new = if order.is_ge() { to.next() } else { None };
            match (old, new) {
                (Some((_, old)), Some((_, new))) if old.ptr_eq(new) => {}
                (Some((key, old)), Some((_, new))) => {
                    self.at(Step::Key(key), |differ| differ.value(old, new, ceiling))?;
                }
                (Some((key, _)), None) => self.at(Step::Key(key), |differ| differ.remove(ceiling))?,
                (None, Some((key, new))) => self.at(Step::Key(key), |differ| differ.add(new, ceiling))?,
                (None, None) => return Ok(()),
            }
        }
    }

    /// Takes one step down for `inside`. Where that fails, the path is put right by [`or_replace`](Self::or_replace).
    fn at<R>(
        &mut self,
        step: Step<'a>,
        inside: impl FnOnce(&mut Self) -> Result<R, Exceeded>,
    ) -> Result<R, Exceeded> {
        let path_bytes = self.path_bytes;
        self.path_bytes += 1 + step.bytes();
        self.path.push(step);
        let result = inside(self)?;
        self.path.pop();
        self.path_bytes = path_bytes;
        Ok(result)
    }

    fn add(&mut self, value: &'a Json, ceiling: usize) -> Result<(), Exceeded> {
        self.emit(Action::Add(value), ADD_BYTES + value.encoded_len(), ceiling)
    }

    fn remove(&mut self, ceiling: usize) -> Result<(), Exceeded> {
        self.emit(Action::Remove, REMOVE_BYTES, ceiling)
    }

    fn replace(&mut self, value: &'a Json, ceiling: usize) -> Result<(), Exceeded> {
        self.emit(Action::Replace(value), REPLACE_BYTES + value.encoded_len(), ceiling)
    }

    /// Moves an element of the array at the path.
    fn shift(&mut self, from: usize, to: usize, ceiling: usize) -> Result<(), Exceeded> {
        let bytes = MOVE_BYTES + self.path_bytes + 1 + digits(from);
        self.at(Step::Index(to), |differ| differ.emit(Action::Move(from), bytes, ceiling))
    }

    /// Adds an operation at the path that takes `bytes` beside the path.
    fn emit(&mut self, action: Action<'a>, bytes: usize, ceiling: usize) -> Result<(), Exceeded> {
        let bytes = bytes + self.path_bytes;
        self.afford(1, bytes, ceiling)?;
        self.bytes += bytes;
        self.paths.extend_from_slice(&self.path);
        self.operations.push(Draft { action, path_end: self.paths.len() });
        Ok(())
    }

    /// Fails unless so many operations more, of so many bytes in all, are allowed.
    fn afford(&self, operations: usize, bytes: usize, ceiling: usize) -> Result<(), Exceeded> {
        let most = self.options.max_operations.max(1);
        let affordable =
            operations <= most - self.operations.len() && bytes <= ceiling.saturating_sub(self.bytes);
        if affordable { Ok(()) } else { Err(Exceeded) }
    }

    fn patch(&self) -> Patch {
        let mut start = 0;
        let operations = self.operations.iter().map(|draft| {
            let path = &self.paths[start..draft.path_end];
            start = draft.path_end;
            draft.action.at(path)
        });
        operations.collect()
    }
}

impl Action<'_> {
    fn at(self, steps: &[Step<'_>]) -> Operation {
        let path = pointer(steps);
        match self {
            Self::Add(value) => Operation::Add { path, value: value.clone() },
            Self::Remove => Operation::Remove { path },
            Self::Replace(value) => Operation::Replace { path, value: value.clone() },
            Self::Move(from) => {
                let array = steps.split_last().map_or(steps, |(_, array)| array);
                Operation::Move { from: pointer(&[array, &[Step::Index(from)]].concat()), path }
            }
            Self::Splice { at, remove, insert } => {
                Operation::Splice { path, at, remove, insert: insert.to_owned() }
            }
        }
    }
}

fn pointer(steps: &[Step<'_>]) -> PointerBuf {
    let mut text = String::with_capacity(steps.iter().map(|step| 1 + step.bytes()).sum());
    for step in steps {
        text.push('/');
        match step {
            Step::Key(key) if key.contains(['~', '/']) => {
                text.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Key(key) => text.push_str(key),
            Step::Index(index) => push_decimal(&mut text, *index),
        }
    }
    PointerBuf::parse(text).unwrap_or_else(|_| unreachable!("invariant: every token is escaped"))
}

impl Step<'_> {
    fn bytes(self) -> usize {
        match self {
            Self::Key(key) => key.len(),
            Self::Index(index) => digits(index),
        }
    }
}

/// Length of a number in decimal digits.
fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn push_decimal(text: &mut String, number: usize) {
    let mut power = 10_usize.pow(number.checked_ilog10().unwrap_or(0));
    while power > 0 {
        text.extend(char::from_digit(u32::try_from(number / power % 10).unwrap_or(0), 10));
        power /= 10;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Limits, MAX_DEPTH, apply};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    /// The patch between two documents, as text, once it is known to lead from the one to the other.
    fn patch(from: &str, to: &str) -> String {
        let (from, to) = (json(from), json(to));
        patch_between(&from, &to, &DiffOptions::default()).to_string()
    }

    fn patch_between(from: &Json, to: &Json, options: &DiffOptions) -> Patch {
        let patch = diff(from, to, options);
        let mut patched = from.clone();
        apply(&mut patched, &patch, &Limits::default()).unwrap();
        assert!(patched == *to, "{patch}");
        patch
    }

    #[test]
    fn equal_documents_have_no_difference() {
        let text = r#"{"a":[1,{"id":2,"b":[[],{}]},"c"],"d":null}"#;
        assert_eq!(patch(text, text), "[]");
        assert_eq!(patch("1", "1.0"), "[]");
        assert_eq!(patch("[0]", "[-0]"), "[]");
    }

    #[test]
    fn objects_differ_by_key() {
        assert_eq!(
            patch(
                r#"{"a":1,"b":2,"title":"the same in both, and longer than all that follows about it","x/y":{"m~n":1,"text":"long enough to be worth more than an operation"}}"#,
                r#"{"b":3,"c":4,"title":"the same in both, and longer than all that follows about it","x/y":{"m~n":2,"text":"long enough to be worth more than an operation"}}"#
            ),
            concat!(
                r#"[{"op":"remove","path":"/a"},{"op":"replace","path":"/b","value":3},"#,
                r#"{"op":"add","path":"/c","value":4},{"op":"replace","path":"/x~1y/m~0n","value":2}]"#
            )
        );
    }

    #[test]
    fn the_shorter_of_operations_and_replacement_is_taken() {
        assert_eq!(
            patch(r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":3,"c":4}}"#),
            r#"[{"op":"replace","path":"/a","value":{"b":3,"c":4}}]"#
        );
        assert_eq!(patch("[1,2,3]", "[3,1,2]"), r#"[{"op":"replace","path":"","value":[3,1,2]}]"#);
        assert_eq!(patch("{}", "[]"), r#"[{"op":"replace","path":"","value":[]}]"#);
    }

    #[test]
    fn elements_with_identity_are_edited_where_they_are() {
        let from = r#"[{"id":1,"title":"the title of the first"},{"id":2,"title":"the title of the second"},{"id":3,"title":"the title of the third"}]"#;
        let to = r#"[{"id":0,"title":"new"},{"id":1,"title":"the title of the first"},{"id":3,"title":"the title of the third","done":true}]"#;
        assert_eq!(
            patch(from, to),
            concat!(
                r#"[{"op":"remove","path":"/1"},{"op":"add","path":"/0","value":{"id":0,"title":"new"}},"#,
                r#"{"op":"add","path":"/2/done","value":true}]"#
            )
        );
    }

    #[test]
    fn an_element_with_another_identity_is_another_element() {
        let from = r#"[{"id":1,"text":"as long as it takes to be worth more than an operation"}]"#;
        let to = r#"[{"id":2,"text":"as long as it takes to be worth more than an operation"}]"#;
        let patch = diff(&json(from), &json(to), &DiffOptions::default());
        assert!(patch.iter().all(|operation| operation.path().as_str() != "/0/id"), "{patch}");
    }

    #[test]
    fn elements_with_identity_move() {
        let item = |id: usize| format!(r#"{{"id":{id},"title":"the title of number {id}"}}"#);
        let list =
            |ids: &[usize]| format!("[{}]", ids.iter().map(|id| item(*id)).collect::<Vec<_>>().join(","));
        assert_eq!(
            patch(&list(&[1, 2, 3, 4]), &list(&[4, 1, 2, 3])),
            r#"[{"from":"/3","op":"move","path":"/0"}]"#
        );
        assert_eq!(
            patch(&list(&[1, 2, 3, 4]), &list(&[2, 3, 4, 1])),
            r#"[{"from":"/0","op":"move","path":"/3"}]"#
        );
    }

    #[test]
    fn long_elements_without_identity_move_too() {
        let item = |name: &str| format!(r#"{{"name":"{name}","text":"{}"}}"#, name.repeat(30));
        let list = |names: &[&str]| {
            format!("[{}]", names.iter().map(|name| item(name)).collect::<Vec<_>>().join(","))
        };
        assert_eq!(
            patch(&list(&["ab", "cd", "ef", "gh"]), &list(&["gh", "ab", "cd", "ef"])),
            r#"[{"from":"/3","op":"move","path":"/0"}]"#
        );
    }

    #[test]
    fn edits_inside_an_array_without_identities_stay_small() {
        let row = |row: usize, cell: &str| {
            format!(r#"{{"row":{row},"cell":"{cell}","text":"the same in every row"}}"#)
        };
        let from: Vec<String> = (0..40).map(|number| row(number, "old")).collect();
        let mut to = from.clone();
        to[7] = row(7, "new");
        to.insert(3, row(99, "new"));
        to.remove(30);
        to[35] = row(34, "new");
        let (from, to) = (format!("[{}]", from.join(",")), format!("[{}]", to.join(",")));
        let patch = patch(&from, &to);
        assert_eq!(patch.matches("\"op\"").count(), 4, "{patch}");
        assert_eq!(patch.matches("\"new\"").count(), 3, "{patch}");
    }

    #[test]
    fn a_row_of_edits_among_rows_that_look_the_same_is_not_taken_for_a_shift() {
        let row = |number: usize, done: bool| {
            format!(r#"{{"row":{number},"text":"the same in every row","done":{done}}}"#)
        };
        let all = |edited: std::ops::Range<usize>| {
            let rows: Vec<_> = (0..400).map(|number| row(number, edited.contains(&number))).collect();
            json(&format!("[{}]", rows.join(",")))
        };
        for edited in [0..0, 10..11, 10..14, 10..30, 0..200, 0..400] {
            let operations = patch_between(&all(0..0), &all(edited.clone()), &DiffOptions::default()).len();
            assert!(operations <= edited.len(), "{operations} operations for {edited:?}");
        }
    }

    #[test]
    fn a_keystroke_in_a_long_text_is_a_splice() {
        let text = "the quick brown fox jumps over the lazy dog. ".repeat(5);
        let edited = text.replacen("lazy", "lazier 😀", 1);
        assert_eq!(
            patch(&format!("[\"{text}\"]"), &format!("[\"{edited}\"]")),
            r#"[{"at":38,"insert":"ier 😀","op":"splice","path":"/0","remove":1}]"#
        );
        assert_eq!(
            patch(r#"["short"]"#, r#"["shorter"]"#),
            r#"[{"op":"replace","path":"","value":["shorter"]}]"#
        );
    }

    #[test]
    fn scattered_edits_of_a_long_text_are_several_splices() {
        let paragraph = |number: usize| format!("Paragraph {number} says what all say, at some length. ");
        let text: String = (0..60).map(paragraph).collect();
        let edited =
            text.replacen("Paragraph 3 ", "The third paragraph ", 1).replacen("Paragraph 50 says", "No", 1);
        let patch = patch(&format!("\"{text}\""), &format!("\"{edited}\""));
        assert_eq!(patch.matches("\"op\":\"splice\"").count(), 2, "{patch}");
        assert!(patch.len() < 200, "{patch}");
    }

    #[test]
    fn without_splices_the_patch_is_of_rfc_6902() {
        let options = DiffOptions { min_splice_bytes: usize::MAX, ..DiffOptions::default() };
        let patch = patch_between(&Json::from("a".repeat(500)), &Json::from("a".repeat(501)), &options);
        assert_eq!(patch.iter().map(Operation::name).collect::<Vec<_>>(), ["replace"]);
    }

    #[test]
    fn too_many_operations_become_a_replacement_of_what_holds_them() {
        let list = |value: usize, count: usize| -> Json {
            (0..count)
                .map(|number| {
                    json(&format!(r#"{{"id":{number},"value":{value},"text":"{}"}}"#, "x".repeat(80)))
                })
                .collect()
        };
        let document = |value| -> Json {
            [("few".into(), list(value, 3)), ("many".into(), list(value, 20))].into_iter().collect()
        };
        let most = |max_operations| {
            let options = DiffOptions { max_operations, ..DiffOptions::default() };
            patch_between(&document(1), &document(2), &options).len()
        };
        assert_eq!(most(23), 23);
        assert_eq!(most(22), 4);
        assert_eq!(most(4), 4);
        assert_eq!(most(3), 1);
        assert_eq!(most(0), 1);
    }

    #[test]
    fn without_steps_an_array_is_replaced_where_it_must_be_aligned() {
        let options = DiffOptions { max_steps: 0, ..DiffOptions::default() };
        let from =
            json(r#"{"a":["one","two","three"],"b":{"c":"some text that is longer than an operation"}}"#);
        let to =
            json(r#"{"a":["two","three","one"],"b":{"c":"some text that is longer than an operation"}}"#);
        assert_eq!(
            patch_between(&from, &to, &options).to_string(),
            r#"[{"op":"replace","path":"/a","value":["two","three","one"]}]"#
        );
    }

    #[test]
    fn the_deepest_documents_are_compared() {
        let nested = |open: &str, leaf: &str, close: &str| {
            let text = format!("{}{leaf}{}", open.repeat(MAX_DEPTH - 1), close.repeat(MAX_DEPTH - 1));
            Json::parse(&text, &Limits { max_depth: MAX_DEPTH, ..Limits::default() }).unwrap()
        };
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[0,", "]")] {
            let (from, to) = (nested(open, "[1]", close), nested(open, "[2]", close));
            let patch = diff(&from, &to, &DiffOptions::default());
            assert_eq!(patch.len(), 1);
            let mut patched = from;
            apply(&mut patched, &patch, &Limits { max_depth: MAX_DEPTH, ..Limits::default() }).unwrap();
            assert!(patched == to);
        }
    }

    #[test]
    fn comparing_in_vain_at_every_level_is_counted() {
        // Five elements of equal length at each level, so that each is compared with many before it is looked into.
        let tree = |last: u32| {
            (0..7).fold(Json::from(last), |below, level| {
                (0..5).map(|_| below.clone()).chain([Json::from(level)]).collect()
            })
        };
        let patch = patch_between(&tree(1), &tree(2), &DiffOptions::default());
        assert!(patch.len() < 10_000);
    }

    /// Elements of an array of sixty-four thousand, with or without identity.
    fn rows(order: impl Iterator<Item = usize>, keyed: bool) -> Json {
        let row = |number: usize| -> Json {
            let name = if keyed { "id" } else { "number" };
            [
                (name.into(), Json::number(number as f64).unwrap()),
                ("text".into(), Json::from(format!("row {number}"))),
            ]
            .into_iter()
            .collect()
        };
        order.map(row).collect()
    }

    const MANY: usize = 64_000;

    /// A permutation of the first numbers.
    fn shuffled(count: usize) -> impl Iterator<Item = usize> {
        // The multiplier has no factor in common with the count, and no pattern that an increasing run could follow.
        (0..count).map(move |number| number * 40_503 % count)
    }

    #[test]
    fn sixty_four_thousand_elements_need_no_quadratic_time() {
        let limits = Limits { max_document_bytes: 64 << 20, ..Limits::default() };
        for keyed in [true, false] {
            let from = rows(0..MANY, keyed);
            let patch_to = |to: &Json, operations: usize| {
                let patch = diff(&from, to, &DiffOptions::default());
                let mut patched = from.clone();
                apply(&mut patched, &patch, &limits).unwrap();
                assert!(patched == *to);
                assert_eq!(patch.len(), operations, "keyed: {keyed}");
            };
            patch_to(&rows((0..MANY).chain([MANY]), keyed), 1);
            patch_to(&rows([MANY].into_iter().chain(0..MANY), keyed), 1);
            patch_to(&rows((0..MANY).filter(|number| number % 1_000 != 7), keyed), 64);
            patch_to(&rows(shuffled(MANY), keyed), 1);
            patch_to(&rows(MANY..2 * MANY, keyed), 1);
            patch_to(&rows((0..MANY).rev(), keyed), 1);
            patch_to(&rows(std::iter::repeat_n(5, MANY), keyed), 1);
        }
    }

    #[test]
    fn scattered_edits_of_sixty_four_thousand_elements_take_a_sixteenth_of_the_steps() {
        let edited = || {
            (0..MANY).flat_map(|n| {
                (n % 640 != 7).then_some(n).into_iter().chain((n % 640 == 500).then_some(MANY + n))
            })
        };
        for keyed in [true, false] {
            let (from, to) = (rows(0..MANY, keyed), rows(edited(), keyed));
            let operations = |max_steps| {
                patch_between(&from, &to, &DiffOptions { max_steps, ..DiffOptions::default() }).len()
            };
            assert_eq!(operations(MAX_STEPS / 16), 200, "keyed: {keyed}");
            // Where the steps do not suffice the array is replaced; with identities none are needed.
            assert_eq!(operations(1_000), if keyed { 200 } else { 1 });
        }
    }

    #[test]
    fn sixty_four_thousand_numbers_need_no_quadratic_time() {
        let mut state = 1_u32;
        let mut bits = || -> Json {
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Json::from(state >> 31)
            })
            .take(MANY)
            .collect()
        };
        let (from, to) = (bits(), bits());
        assert_eq!(patch_between(&from, &to, &DiffOptions::default()).len(), 1);
    }

    #[test]
    fn an_insertion_and_a_deletion_in_a_long_array_make_a_short_patch() {
        for keyed in [true, false] {
            let from = rows(0..4_000, keyed);
            let to = rows([9_999].into_iter().chain((0..4_000).filter(|number| *number != 1_800)), keyed);
            assert!(from.encoded_len() > 100_000);
            let bytes = patch_between(&from, &to, &DiffOptions::default()).to_string().len();
            assert!(bytes < 120, "{bytes} bytes");
        }
    }

    #[test]
    fn a_keystroke_in_a_text_of_fifty_kilobytes_takes_less_than_three_hundred_bytes() {
        let text = "All work and no play makes Jack a dull boy.\n".repeat(1_200);
        assert!(text.len() > 50_000);
        let at = 25_000;
        let edited = format!("{}x{}", &text[..at], &text[at..]);
        let document = |text: String| -> Json { [("body".into(), Json::from(text))].into_iter().collect() };
        let patch = patch_between(&document(text), &document(edited), &DiffOptions::default());
        assert!(patch.to_string().len() < 100, "{patch}");
    }
}
