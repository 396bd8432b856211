//! Edits of texts by index, without looking at the whole text. yrs walks from the beginning of a text to where it is edited, for each edit; here
//! a [`Rope`] finds the elements between which letters go, and yrs takes these in as it takes those of others, whose places it finds by their ids.
//!
//! What is written is what yrs and Yjs write at that place. Where that is not known yet, and where marks make a difference, yrs walks, and is asked.

use std::collections::BTreeMap;

use yrs::types::text::YChange;
use yrs::updates::decoder::Decode as _;
use yrs::{Any, Out, ReadTxn as _, Snapshot, Text as _, TransactionMut, WriteTxn as _};

use crate::document::ApplyError;
use crate::editing::{Edit, EditError, RootKind, Target, edit_text};
use crate::patching::units;
use crate::rope::{Front, Gap, Rope, Run as Letters};
use crate::structure::{Id, ORIGIN, RIGHT_ORIGIN, TEXT};
use crate::update::{MAX_CLOCK, Run, Update};
use crate::writing::{Parts, write};

/// Root texts of one document of which is known what stands where. Who edits more of them in turn has yrs walk through each.
const MAX_TEXTS: usize = 64;

/// Root texts that are edited by index, those that came last behind. They are known until somebody else edits them, or an edit is made in another
/// way.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<(String, Known)>);

/// What is known of a root text.
#[derive(Debug)]
enum Known {
    /// It was edited once. A rope costs as much as a few edits without one.
    Once,
    /// There is more in it than a text shows.
    Other,
    Letters(Rope),
}

/// Who edits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) client: u64,
    /// The clock behind its last element.
    pub(crate) clock: u32,
    /// Whether there are marks in the document.
    pub(crate) has_marks: bool,
}

/// Edits that can be made.
pub(crate) struct Batch<'a> {
    steps: Vec<Step<'a>>,
    pub(crate) asks: Option<Asked<'a>>,
}

/// Where the last edit put letters, if yrs looked for their place.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    root: &'a str,
    index: u32,
    first: Id,
    length: u32,
}

enum Step<'a> {
    /// Has yrs apply what was written here.
    Apply(Vec<u8>),
    /// Has yrs make an edit of a root.
    Walk(&'a str, &'a Edit),
}

/// An update that is being written.
struct Sheet {
    first: Id,
    count: u64,
    structures: Vec<u8>,
    /// By their first elements, how many.
    deleted: BTreeMap<Id, u32>,
}

impl Texts {
    /// Forgets what is known of all texts.
    pub(crate) fn forget_all(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what is known of the roots that edits are for.
    pub(crate) fn forget(&mut self, edits: &[(Target, Edit)]) {
        if !self.0.is_empty() {
            self.0.retain(|(root, _)| edits.iter().all(|(target, _)| target.root != *root));
        }
    }

    /// Checks the edits of a batch, and has the ropes be what is after them; `None` where they are to be made in another way.
    pub(crate) fn plan<'a>(
        &mut self,
        transaction: &mut TransactionMut<'_>,
        edits: &'a [(Target, Edit)],
        author: Author,
    ) -> Result<Option<Batch<'a>>, EditError> {
        let plain = edits.iter().all(|(target, edit)| is_plain(target, edit));
        if edits.is_empty() || !plain {
            self.forget(edits);
            return Ok(None);
        }
        let looked = edits.iter().all(|(target, _)| self.look(transaction, &target.root, edits.len() > 1));
        if !looked || edits.iter().any(|(target, _)| self.rope(&target.root).is_none()) {
            // Another root of the batch may have a rope already.
            self.0.retain(|(root, known)| {
                !matches!(known, Known::Letters(_)) || edits.iter().all(|(target, _)| target.root != *root)
            });
            return Ok(None);
        }
        let planned = self.plan_all(edits, author);
        if planned.is_err() && edits.len() > 1 {
            self.forget(edits);
        }
        planned.map(Some)
    }

    fn rope(&mut self, root: &str) -> Option<&mut Rope> {
        self.0.iter_mut().rev().find(|(known, _)| known == root).and_then(|(_, known)| match known {
            Known::Letters(rope) => Some(rope),
            Known::Once | Known::Other => None,
        })
    }

    /// Whether there is a rope of a root.
    fn look(&mut self, transaction: &mut TransactionMut<'_>, root: &str, at_once: bool) -> bool {
        let at = self.0.iter().rposition(|(known, _)| known == root);
        let known = match at.and_then(|at| self.0.get(at)) {
            Some((_, Known::Letters(_))) => return true,
            Some((_, Known::Other)) => return false,
            None if !at_once => Known::Once,
            _ => read(transaction, root).map_or(Known::Other, Known::Letters),
        };
        let has_letters = matches!(known, Known::Letters(_));
        if let Some(at) = at {
            self.0.remove(at);
        } else if self.0.len() >= MAX_TEXTS {
            self.0.remove(0);
        }
        self.0.push((root.to_owned(), known));
        has_letters
    }

    fn plan_all<'a>(&mut self, edits: &'a [(Target, Edit)], author: Author) -> Result<Batch<'a>, EditError> {
        let mut batch = Batch { steps: Vec::new(), asks: None };
        let mut sheet = Sheet::new(Id { client: author.client, clock: author.clock });
        let mut next = author.clock;
        for (target, edit) in edits {
            let Some(rope) = self.rope(&target.root) else { return Err(EditError::Missing) };
            batch.asks = None;
            match edit {
                Edit::Delete { index, length } => {
                    check(rope, *index, *length)?;
                    let mut walks = author.has_marks && *length > 0 && !rope.is_inside(*index, *length);
                    let mut deleted = Vec::new();
                    rope.delete(*index, *length, &mut |first, length| match first {
                        Some(first) => deleted.push((first, length)),
                        None => walks = true,
                    });
                    if walks {
                        sheet.end(&mut batch.steps, next);
                        batch.steps.push(Step::Walk(&target.root, edit));
                    } else {
                        sheet.deleted.extend(deleted);
                    }
                }
                Edit::InsertText { index, text, .. } => {
                    check(rope, *index, 0)?;
                    let length = units(text);
                    if length == 0 {
                        continue;
                    }
                    let first = Id { client: author.client, clock: next };
                    if u64::from(next) + u64::from(length) > MAX_CLOCK {
                        return Err(ApplyError::Broken.into());
                    }
                    next += length;
                    let place = place(rope.gap(*index), *index, author.has_marks);
                    let mut at = *index;
                    for run in Letters::of(text, Some(first)) {
                        let units = run.length();
                        rope.insert(at, run, place.is_some() || !author.has_marks);
                        at += units;
                    }
                    if let Some(between) = place {
                        sheet.write(&target.root, text, between);
                    } else {
                        sheet.end(&mut batch.steps, next);
                        batch.steps.push(Step::Walk(&target.root, edit));
                        batch.asks = Some(Asked { root: &target.root, index: *index, first, length });
                    }
                }
                _ => return Err(EditError::WrongKind),
            }
        }
        sheet.end(&mut batch.steps, next);
        Ok(batch)
    }

    /// Learns where yrs put what it was asked to.
    pub(crate) fn learn(&mut self, asked: Asked<'_>, update: &Update) {
        if let Some(rope) = self.rope(asked.root)
            && let Some(between) = update.between(asked.first)
        {
            rope.learn(asked.index, asked.first, asked.length, between);
        }
    }
}

/// Whether an edit is one of letters without marks, in a root.
fn is_plain(target: &Target, edit: &Edit) -> bool {
    target.kind == RootKind::Text
        && target.path.is_empty()
        && matches!(edit, Edit::Delete { .. } | Edit::InsertText { attributes: None, .. })
}

/// Whether a part lies in a text, and cuts no letter in two.
fn check(rope: &Rope, index: u32, length: u32) -> Result<(), EditError> {
    let all = rope.length();
    if index > all || length > all - index {
        Err(EditError::OutOfRange)
    } else if rope.is_within_letter(index) || rope.is_within_letter(index + length) {
        Err(EditError::WithinLetter)
    } else {
        Ok(())
    }
}

/// Between which elements letters go, where that is known. A mark may stand behind a letter and in front of what is deleted: letters go in front of it.
fn place(gap: Gap, index: u32, has_marks: bool) -> Option<[Option<Id>; 2]> {
    let Front::Known(front) = gap.front else { return None };
    let behind = match gap.behind {
        Some(behind) => Some(behind?),
        None => None,
    };
    let is_next = if index == 0 { front.is_none() } else { front.is_some() && front == gap.before };
    (is_next || !has_marks).then_some([front, behind])
}

/// The letters of a root, by the elements that they are.
fn read(transaction: &mut TransactionMut<'_>, root: &str) -> Option<Rope> {
    let text = transaction.get_or_insert_text(root);
    // All of it as what has come since there was nothing: so yrs tells the id of each piece.
    let now = transaction.snapshot();
    let pieces = text.diff_range(transaction, Some(&now), Some(&Snapshot::default()), YChange::identity);
    let mut runs = Vec::new();
    for piece in pieces {
        match (piece.insert, piece.ychange) {
            (Out::Any(Any::String(letters)), Some(change)) => {
                let first = Id { client: change.id.client.get(), clock: change.id.clock };
                runs.extend(Letters::of(&letters, Some(first)));
            }
            _ => runs.push(Letters::embedded()),
        }
    }
    let rope = Rope::new(runs);
    (rope.length() == text.len(transaction)).then_some(rope)
}

impl Batch<'_> {
    /// Makes the edits. Gives the update that they are, where that was written here.
    pub(crate) fn run(self, transaction: &mut TransactionMut<'_>) -> Result<Option<Vec<u8>>, EditError> {
        let is_one = self.steps.len() == 1;
        let mut written = None;
        for step in self.steps {
            match step {
                Step::Apply(bytes) => {
                    let update = yrs::Update::decode_v1(&bytes).map_err(|_| ApplyError::Broken)?;
                    transaction.apply_update(update).map_err(|_| ApplyError::Broken)?;
                    written = Some(bytes).filter(|_| is_one);
                }
                Step::Walk(root, edit) => {
                    let text = transaction.get_or_insert_text(root);
                    edit_text(transaction, &text, edit);
                }
            }
        }
        Ok(written)
    }
}

impl Sheet {
    fn new(first: Id) -> Self {
        Self { first, count: 0, structures: Vec::new(), deleted: BTreeMap::new() }
    }

    /// Writes letters that go between two elements of a root.
    fn write(&mut self, root: &str, text: &str, between: [Option<Id>; 2]) {
        let bytes = &mut self.structures;
        let sides = between.into_iter().zip([ORIGIN, RIGHT_ORIGIN]);
        bytes.push(sides.fold(TEXT, |info, (id, side)| if id.is_some() { info | side } else { info }));
        for id in between.into_iter().flatten() {
            write(bytes, id.client);
            write(bytes, u64::from(id.clock));
        }
        if between == [None, None] {
            write(bytes, 1);
            write(bytes, root.len() as u64);
            bytes.extend_from_slice(root.as_bytes());
        }
        write(bytes, text.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
        self.count += 1;
    }

    /// Ends the update; the next one begins at a clock.
    fn end(&mut self, steps: &mut Vec<Step<'_>>, clock: u32) {
        let next = Self::new(Id { clock, ..self.first });
        let Self { first, count, structures, deleted } = std::mem::replace(self, next);
        if count == 0 && deleted.is_empty() {
            return;
        }
        let mut parts = Parts::default();
        parts.push(count, first, Some(&structures));
        let mut last: Option<Run> = None;
        for (Id { client, clock }, length) in deleted {
            let end = clock + length;
            match last.as_mut().filter(|last| last.client == client && last.end == clock) {
                Some(last) => last.end = end,
                None => {
                    last.replace(Run { client, start: clock, end })
                        .into_iter()
                        .for_each(|run| parts.delete(run));
                }
            }
        }
        last.into_iter().for_each(|run| parts.delete(run));
        steps.push(Step::Apply(parts.into_bytes()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use yrs::{ClientID, Doc, OffsetKind, Options, Transact as _};

    use super::*;

    fn letters(index: u32, text: &str) -> (Target, Edit) {
        let target = Target { root: "text".into(), kind: RootKind::Text, path: Vec::new() };
        (target, Edit::InsertText { index, text: text.into(), attributes: None })
    }

    /// How many of its edits yrs looks for, of a batch; `None` where all of them are made in another way.
    fn walks(doc: &Doc, texts: &mut Texts, clock: &mut u32, edits: &[(Target, Edit)]) -> Option<usize> {
        let author = Author { client: 1, clock: *clock, has_marks: false };
        let mut transaction = doc.transact_mut();
        let Some(batch) = texts.plan(&mut transaction, edits, author).unwrap() else {
            crate::editing::plan(&mut transaction, edits).unwrap().run(&mut transaction);
            *clock = transaction.state_vector().get(&ClientID::new(1));
            return None;
        };
        let (asked, walks) =
            (batch.asks, batch.steps.iter().filter(|step| matches!(step, Step::Walk(..))).count());
        let bytes = batch.run(&mut transaction).unwrap().unwrap_or_else(|| transaction.encode_update_v1());
        if let Some(asked) = asked {
            texts.learn(asked, &Update::check(bytes.into(), 1 << 20).unwrap());
        }
        *clock = transaction.state_vector().get(&ClientID::new(1));
        Some(walks)
    }

    fn doc() -> Doc {
        let mut options = Options::with_client_id(ClientID::new(1));
        options.offset_kind = OffsetKind::Utf16;
        Doc::with_options(options)
    }

    #[test]
    fn who_goes_on_typing_has_nobody_look_for_the_place() {
        let (doc, mut texts, mut clock) = (doc(), Texts::default(), 0);
        let mut walks = |edit| walks(&doc, &mut texts, &mut clock, &[edit]);
        // The first is made without a rope, the second finds out how the text ends.
        assert_eq!([walks(letters(0, "ab")), walks(letters(2, "c"))], [None, Some(1)]);
        let typed = (3..500).map(|index| walks(letters(index, "d")).unwrap());
        assert_eq!(typed.sum::<usize>(), 0);
        // Within what stands, and around what was put there; at the beginning once.
        for (index, walked) in [(200, 0), (201, 0), (200, 0), (0, 1), (1, 0), (0, 0)] {
            assert_eq!(walks(letters(index, "x")), Some(walked), "{index}");
        }
        // In front of what is left stands what was deleted, which is known.
        let delete = (letters(0, "").0, Edit::Delete { index: 190, length: 30 });
        assert_eq!([walks(delete), walks(letters(190, "e"))], [Some(0); 2]);
    }

    #[test]
    fn a_batch_has_few_places_looked_for() {
        let (doc, mut texts, mut clock) = (doc(), Texts::default(), 0);
        // `a😀b` has four units; each seventh goes in front of the one before it.
        let index = |at: u32| 4 * (at - u32::from(at % 7 == 6));
        let batch: Vec<_> = (0..1_000).map(|at| letters(index(at), "a😀b")).collect();
        assert_eq!(walks(&doc, &mut texts, &mut clock, &batch), Some(1));
        assert_eq!(clock, 4_000);
    }

    #[test]
    fn so_many_texts_are_known_and_one_more_has_the_oldest_forgotten() {
        let (doc, mut texts, mut clock) = (doc(), Texts::default(), 0);
        let mut walks = |root: usize| {
            let (target, edit) = letters(0, "a");
            let edits = [(Target { root: root.to_string(), ..target }, edit)];
            walks(&doc, &mut texts, &mut clock, &edits)
        };
        let mut all = |roots: std::ops::Range<usize>| roots.map(&mut walks).collect::<Vec<_>>();
        let (of_none, of_all) = (vec![None; MAX_TEXTS], vec![Some(0); MAX_TEXTS]);
        assert_eq!(all(0..MAX_TEXTS), of_none);
        assert_eq!(all(0..MAX_TEXTS), vec![Some(1); MAX_TEXTS]);
        assert_eq!(all(0..MAX_TEXTS), of_all);
        assert_eq!(all(MAX_TEXTS..MAX_TEXTS + 1), [None]);
        assert_eq!(all(1..MAX_TEXTS), of_all[1..]);
        assert_eq!(all(0..1), [None]);
        // A batch of more than are known at once is made in another way.
        let batch: Vec<_> = (0..=MAX_TEXTS)
            .map(|root| {
                let (target, edit) = letters(0, "b");
                (Target { root: root.to_string(), ..target }, edit)
            })
            .collect();
        let mut walks = |batch: &[(Target, Edit)]| super::tests::walks(&doc, &mut texts, &mut clock, batch);
        assert_eq!(walks(&batch), None);
        assert_eq!(walks(&batch[1..]), Some(MAX_TEXTS));
    }
}
