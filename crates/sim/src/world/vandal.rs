//! Somebody hostile who may edit: what they push is theirs, and they say of it what is not true. Others may have to settle with it, as with what
//! anybody writes, and lose nothing by it.

use std::collections::BTreeMap;

use rejoin_core::Life;
use rejoin_json::{Json, Limits, Operation, Patch, apply};
use rejoin_wire::{
    Body, Change, ConflictId, Counter, DocumentId, DocumentPush, Message, PushedChange, ReplicaId, Revision,
    UnixMillis,
};

use super::World;
use super::hostile::NOBODY;
use crate::dice::Dice;
use crate::tokens::{in_body, tokens};
use crate::typing;

/// Changes in one push, at most.
const MOST_CHANGES: u64 = 3;

/// Pushes, in ten thousand, that begin under another name.
const RENAMED: u32 = 3_000;

/// Who edits, and how far they have counted.
#[derive(Clone, Debug)]
pub(crate) struct Vandal {
    pub(crate) replica: ReplicaId,
    pub(crate) counters: BTreeMap<DocumentId, u64>,
}

/// What is not true of a change.
#[derive(Clone, Copy)]
enum Lie {
    Nothing,
    SameCounter,
    SkippedCounter,
    OlderBase,
    BaseToCome,
    LargestBase,
    OverOthers,
    NothingSeen,
    OtherSeen,
}

const LIES: [Lie; 16] = [
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::Nothing,
    Lie::SameCounter,
    Lie::SkippedCounter,
    Lie::OlderBase,
    Lie::BaseToCome,
    Lie::LargestBase,
    Lie::OverOthers,
    Lie::NothingSeen,
    Lie::OtherSeen,
];

/// The largest number that the protocol has.
const LARGEST: u64 = u64::MAX >> 11;

impl World {
    /// The next thing that somebody hostile pushes.
    pub(super) fn vandalism(&mut self, dice: &mut Dice, vandal: &mut Vandal) -> Message {
        let document = dice.pick(&self.documents).clone();
        let (newest, content, life) = match self.model.line(&document) {
            Some(line) => (line.revision().0, line.tip().content.clone(), line.tip().life),
            None => (0, Json::Null, Life::Absent),
        };
        // Whoever is told that their name is used up takes another.
        if dice.chance(RENAMED) {
            *vandal = Vandal { replica: ReplicaId(dice.seed().0), counters: BTreeMap::new() };
        }
        let mut changes = Vec::new();
        let many = if dice.chance(7_000) { 1 } else { dice.between(1, MOST_CHANGES) };
        for _ in 0..many {
            let body = self.vandal_body(dice, &content, life);
            let lie = *dice.pick(&LIES);
            // In the name of somebody else it goes on where they are.
            let last = vandal
                .counters
                .entry(document.clone())
                .or_insert_with(|| self.model.newest_of(&document, vandal.replica));
            let counter = match lie {
                Lie::SameCounter => *last,
                Lie::SkippedCounter => *last + 2,
                _ => *last + 1,
            };
            // What is refused for it is not counted.
            *last += u64::from(counter == *last + 1);
            let base = match lie {
                Lie::OlderBase => dice.between(0, newest),
                Lie::BaseToCome => newest + dice.between(1, 1 << 40),
                Lie::LargestBase => LARGEST,
                _ => newest,
            };
            let over = match lie {
                Lie::OverOthers => dice.between(0, LARGEST),
                _ => counter,
            };
            let change = Change {
                replica: vandal.replica,
                counter: Counter(counter),
                base: Revision(base),
                over: Counter(over),
                time: UnixMillis(*dice.pick(&[0, self.now / 1_000, LARGEST])),
                body,
            };
            let seen = match lie {
                Lie::NothingSeen => None,
                Lie::OtherSeen => Some(Json::from(dice.seed().0.to_string()).content_hash()),
                _ => Some(content.content_hash()),
            };
            let mut left = content.clone();
            let left = match &change.body {
                Body::Edit { patch, .. } if apply(&mut left, patch, &Limits::default()).is_ok() => {
                    tokens(&left)
                }
                body => in_body(body),
            };
            // What it says of that is true.
            let is_honest =
                matches!(lie, Lie::Nothing | Lie::SameCounter | Lie::SkippedCounter | Lie::NothingSeen);
            let saw = (is_honest && life == Life::Alive).then(|| content.clone());
            let made = self.model.note_made(NOBODY, &document, &change, saw, None, &left);
            self.model.name(change.hash(&document), made);
            changes.push(PushedChange { change, seen });
        }
        Message::Push { pushes: vec![DocumentPush { document, changes, author: None }] }
    }

    fn vandal_body(&mut self, dice: &mut Dice, content: &Json, life: Life) -> Body {
        let brought = self.brought();
        let issuer = &mut self.model.issuer;
        let edit = |patch| Body::Edit { patch, settles: Vec::new(), undoes: None };
        match dice.below(12) {
            0 => Body::Delete,
            1 => Body::Undelete,
            2 => Body::Void,
            3 => Body::Header { header: typing::header(dice) },
            4 => Body::Create { header: typing::header(dice), content: typing::content(issuer) },
            // Of what is not there.
            5 => edit(Patch(vec![
                Operation::Remove { path: jsonptr::PointerBuf::from_tokens(["nowhere", "at", "all"]) },
                Operation::Add {
                    path: jsonptr::PointerBuf::from_tokens(["nowhere"]),
                    value: Json::from(issuer.issue().to_string()),
                },
            ])),
            6 => Body::Edit {
                patch: Patch::default(),
                settles: vec![ConflictId { revision: Revision(dice.between(0, LARGEST)), index: 0 }],
                undoes: None,
            },
            7 => edit(Patch::default()),
            _ if life == Life::Alive => edit(typing::patch(content, brought, dice, issuer)),
            _ => Body::Create { header: typing::header(dice), content: typing::content(issuer) },
        }
    }
}
