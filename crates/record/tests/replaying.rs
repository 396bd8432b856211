//! Recordings replay to equal outputs, and say where they do not.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use rejoin_core::storage::StoreError;
use rejoin_core::{Base, ConflictChoice, Grant, Input, Origin, RequestKey, Token};
use rejoin_record::{
    Ending, Item, MIN_BYTES, ReadError, Reader, RecordingOptions, Replay, ReplayError, Ring, Shown, Step,
};
use rejoin_store::MemoryStore;
use rejoin_wire::{Body, Header, Sequence, UnixMillis};
use support::{TOKEN, World, id, json, patch};

/// Documents, conflicts, undo, presence, a store that fails, a copied device, requests of drivers, jobs, a clock that jumps.
fn scenario(recording: Option<RecordingOptions>) -> World {
    let mut world = World::new(recording);
    let (ada, bob) = (world.follower(2, MemoryStore::new()), world.follower(3, MemoryStore::new()));
    world.settle();
    let (note, list) = (id("note"), id("list"));
    for node in [ada, bob] {
        for document in [&note, &list] {
            world.nodes[node].replica.open(document);
        }
    }
    world.settle();
    let replica = &mut world.nodes[ada].replica;
    replica.create(&note, json(r#"{"text":"Hello","tags":["a","b","c"]}"#)).unwrap();
    let header = Header { title: Some("A list".into()), ..Header::default() };
    replica.create_with(&list, header, json("[]")).unwrap();
    world.wait(Duration::from_millis(50));
    // Edited apart.
    world.set_online(bob, false);
    let edit = |text: &str| patch(&format!(r#"[{{"op":"replace","path":"/text","value":"{text}"}}]"#));
    world.nodes[ada].replica.edit(&note, edit("of Ada")).unwrap();
    world.settle();
    let origin = Origin { part: 7, number: 1 };
    world.nodes[bob].replica.speak_for(origin).edit(&note, edit("of Bob")).unwrap();
    assert!(world.nodes[bob].replica.speak_for(origin).edit(&note, edit("again")).is_err());
    let long = "a longer text ".repeat(30);
    world.nodes[bob]
        .replica
        .edit(&list, patch(&format!(r#"[{{"op":"add","path":"/-","value":"{long}"}}]"#)))
        .unwrap();
    world.settle();
    world.set_online(bob, true);
    world.wait(Duration::from_secs(40));
    let view = world.nodes[ada].replica.view(&note).unwrap();
    let conflict = *view.conflicts.keys().next().expect("both edited one text");
    world.nodes[ada].replica.settle(&note, conflict, ConflictChoice::Current).unwrap();
    world.nodes[bob].replica.undo(&list).unwrap();
    world.settle();
    world.nodes[bob].replica.redo(&list).unwrap();
    world.nodes[bob].replica.set_presence(&note, Some(json(r#"{"cursor":3}"#))).unwrap();
    world.wait(Duration::from_secs(2));
    // Stores that fail, for a while and for good.
    world.nodes[0].store.fail_next_commits(2, StoreError::Unavailable("busy".into()));
    world.nodes[ada].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    world.nodes[ada].replica.edit(&note, edit("while nothing is stored")).unwrap();
    world.wait(Duration::from_secs(5));
    world.input(ada, Input::StoreReplaced);
    world.input(ada, Input::Clock(UnixMillis(1_790_003_600_000)));
    world.wait(Duration::from_secs(5));
    // Requests at the authority.
    let grant = Grant::new("somebody", true);
    let root = &mut world.nodes[0].replica;
    root.read(Token(1), &note);
    root.history(Token(2), &note, None, 10);
    root.heads(Token(3), Sequence(0), 10);
    let key = RequestKey::new("key", &[b"delete"]);
    root.repeat(Token(4), &grant, &list, &key);
    root.submit(Token(5), grant, &list, Body::Delete, Base::Current, Some(&key));
    world.wait(Duration::from_secs(1));
    // A device is copied: two replicas of one id.
    let copy = world.follower(4, world.nodes[bob].store.clone());
    world.set_online(copy, false);
    world.nodes[copy].replica.open(&note);
    world.settle();
    for (node, text) in [(copy, "of the copy"), (bob, "of the other")] {
        world.nodes[node].replica.edit(&note, edit(text)).unwrap();
        world.settle();
    }
    world.set_online(copy, true);
    world.wait(Duration::from_secs(40));
    world.nodes[bob].replica.delete(&note).unwrap();
    world.wait(Duration::from_secs(1));
    world.nodes[ada].replica.undelete(&note).unwrap();
    world.nodes[ada].replica.close(&list);
    world.wait(Duration::from_secs(20));
    world
}

fn recorded() -> World {
    scenario(Some(RecordingOptions::default()))
}

/// Many edits of one document, one after the other.
fn busy(recording: Option<RecordingOptions>) -> World {
    let mut world = World::new(recording);
    let ada = world.follower(2, MemoryStore::new());
    let note = id("note");
    world.nodes[ada].replica.open(&note);
    world.settle();
    world.nodes[ada].replica.create(&note, json("{}")).unwrap();
    for number in 0..900 {
        let edit = format!(r#"[{{"op":"add","path":"/x","value":{number}}}]"#);
        world.nodes[ada].replica.edit(&note, patch(&edit)).unwrap();
        world.settle();
    }
    world
}

fn file(world: &World, node: usize) -> Vec<u8> {
    world.nodes[node].recorder.as_ref().unwrap().save()
}

fn all(mut replay: Replay<'_>) -> Result<Vec<Shown>, ReplayError> {
    let mut shown = Vec::new();
    while let Some(one) = replay.advance()? {
        shown.push(one);
    }
    Ok(shown)
}

fn steps(shown: &[Shown]) -> impl Iterator<Item = &Step> {
    shown.iter().filter_map(|shown| if let Shown::Step(step) = shown { Some(step) } else { None })
}

#[test]
fn every_replica_of_a_scenario_replays_to_the_same_outputs_and_ends_in_the_same_state() {
    let mut world = recorded();
    for node in 0..world.nodes.len() {
        let file = file(&world, node);
        let mut replay = Replay::new(&file).showing();
        while let Some(shown) = replay.advance().unwrap_or_else(|error| panic!("node {node}: {error}")) {
            assert!(!matches!(shown, Shown::Gap(_)));
        }
        let progress = replay.progress();
        assert!(progress.steps > 20 && progress.outputs > 30, "{progress:?}");
        assert_eq!((progress.replayed, progress.missing), (progress.steps, 0));
        assert_eq!(replay.ending(), Ending::Whole);
        let (state, replica) = (replay.state().unwrap(), &mut world.nodes[node].replica);
        assert_eq!(state.replica, replica.id());
        assert_eq!(state.documents, replica.listed());
    }
}

#[test]
fn the_scenario_has_what_it_is_meant_to_have() {
    let world = recorded();
    let all = world.outputs.join("\n");
    let wanted =
        ["Conflicted", "Forked", "StoreFailed", "StoreWorks", "Compute", "Present", "Accepted", "Recovered"];
    for wanted in &wanted[..7] {
        assert!(all.contains(wanted), "{wanted}");
    }
}

#[test]
fn recording_changes_nothing() {
    let without = scenario(None).outputs;
    assert!(without.len() > 200);
    assert_eq!(without, recorded().outputs);
    let sealed = RecordingOptions { content: false, ..RecordingOptions::default() };
    assert_eq!(without, scenario(Some(sealed)).outputs);
}

#[test]
fn a_token_is_in_no_recording() {
    let world = recorded();
    for node in 0..world.nodes.len() {
        let file = file(&world, node);
        assert!(!file.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()));
    }
}

/// Changes the record at this step, and makes its checksum fit.
fn tampered(file: &[u8], step: u64, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (start, end) =
        records(file).into_iter().find(|(number, ..)| *number == step).map(|(_, a, b)| (a, b)).unwrap();
    let mut input = rejoin_wire::Reader::new(&file[start..end]);
    let length = usize::try_from(input.varint()).unwrap();
    let mut body = input.raw(length).to_vec();
    change(&mut body);
    let mut out = rejoin_wire::Writer::new();
    out.raw(&file[..start]);
    out.bytes(&body);
    out.raw(&rejoin_record::checksum(&body).to_le_bytes());
    out.raw(&file[end..]);
    out.into_bytes()
}

/// Where each step's record begins and ends.
fn records(file: &[u8]) -> Vec<(u64, usize, usize)> {
    let mut reader = Reader::new(file);
    let mut found = Vec::new();
    let mut before = 0;
    while let Some(item) = reader.advance().unwrap() {
        if let Item::Record(record) = item
            && record.is_step()
        {
            found.push((record.step(), before, reader.offset()));
        }
        before = reader.offset();
    }
    found
}

#[test]
fn another_input_is_found_at_its_step() {
    let world = recorded();
    let file = file(&world, 1);
    let at = file.windows(6).position(|part| part == b"of Ada").unwrap();
    let (step, start, _) =
        *records(&file).iter().find(|(_, start, end)| (*start..*end).contains(&at)).unwrap();
    let (offset, length) = (at - start, if file[start] < 0x80 { 1 } else { 2 });
    let other = tampered(&file, step, |body| body[offset - length] = b'O');
    let error = all(Replay::new(&other)).unwrap_err();
    let ReplayError::Differs(difference) = &error else { panic!("{error}") };
    assert_eq!(difference.step.number, step);
    assert!(error.to_string().starts_with(&format!("step {step}: edit `note`")), "{error}");
    // The same byte without a checksum that fits is damage.
    let mut damaged = file.clone();
    damaged[at] = b'O';
    let error = all(Replay::new(&damaged)).unwrap_err();
    assert_eq!(error, ReplayError::Read(ReadError::Damaged { step: step - 1, offset: start }));
}

#[test]
fn an_input_that_is_left_out_is_found() {
    let world = recorded();
    let file = file(&world, 0);
    let records = records(&file);
    let (_, start, end) = records[records.len() / 2];
    let mut other = file[..start].to_vec();
    other.extend(&file[end..]);
    assert!(matches!(all(Replay::new(&other)), Err(ReplayError::Differs(_) | ReplayError::NoSuchJob { .. })));
}

#[test]
fn a_file_that_is_cut_off_replays_up_to_where_it_ends() {
    let world = recorded();
    let file = file(&world, 2);
    let whole = steps(&all(Replay::new(&file)).unwrap()).count();
    let mut most = 0;
    for end in (200..file.len()).step_by(97) {
        let mut replay = Replay::new(&file[..end]);
        let mut count = 0;
        while let Some(shown) = replay.advance().unwrap() {
            count += usize::from(matches!(shown, Shown::Step(_)));
        }
        assert!(count >= most && count <= whole);
        most = count;
    }
    assert!(most + 2 >= whole);
}

#[test]
fn without_content_a_recording_shows_kinds_and_sizes_and_holds_nothing_of_what_was_typed() {
    let world = scenario(Some(RecordingOptions { content: false, ..RecordingOptions::default() }));
    for node in 0..world.nodes.len() {
        let file = file(&world, node);
        for typed in ["of Ada", "of Bob", "Hello", "person", "note"] {
            assert!(!file.windows(typed.len()).any(|part| part == typed.as_bytes()), "{typed}");
        }
        let mut replay = Replay::new(&file).showing();
        let mut outputs = 0;
        while let Some(shown) = replay.advance().unwrap() {
            if let Shown::Step(step) = shown {
                assert!(!step.is_replayed && step.line.detail.contains("bytes, digest"), "{step:?}");
                outputs += step.outputs.len();
            }
        }
        assert!(outputs > 30 && replay.state().is_none());
    }
}

#[test]
fn a_full_ring_keeps_the_beginning_and_the_end_and_says_what_is_missing() {
    let world = busy(Some(RecordingOptions { max_bytes: 0, ..RecordingOptions::default() }));
    let whole = file(&busy(Some(RecordingOptions::default())), 0);
    let file = file(&world, 0);
    assert!(whole.len() > MIN_BYTES && file.len() <= MIN_BYTES, "{} {}", whole.len(), file.len());
    let shown = all(Replay::new(&file)).unwrap();
    let gap =
        shown.iter().find_map(|shown| if let Shown::Gap(gap) = shown { Some(*gap) } else { None }).unwrap();
    let kept = steps(&shown).filter(|step| step.number > 0 && step.line.name != "outputs").count() as u64;
    let all_steps = records(&whole).len() as u64;
    assert_eq!(kept + gap.steps, all_steps);
    let replayed = steps(&shown).filter(|step| step.is_replayed).count();
    assert!(replayed > 20 && replayed < steps(&shown).count());
    // Times go on behind the gap.
    let whole_end = all(Replay::new(&whole)).unwrap();
    assert_eq!(steps(&shown).last().unwrap().at, steps(&whole_end).last().unwrap().at);
}

#[test]
fn a_ring_takes_records_up_to_its_edge_and_drops_one_beyond_it() {
    let mut ring = Ring::new(0);
    let half = MIN_BYTES / 2;
    assert!(ring.push(&vec![1; half], 1, false));
    // The head is full to the byte; with its overhead the tail is, too.
    assert!(!ring.push(&vec![2; half - 64], 2, true));
    assert_eq!((ring.bytes(), ring.dropped_steps()), (MIN_BYTES, 0));
    assert_eq!(ring.to_bytes().len(), MIN_BYTES - 64);
    assert!(!ring.push(&[3], 3, true));
    assert_eq!(ring.dropped_steps(), 1);
    assert!(ring.bytes() < MIN_BYTES);
    // What is larger than the tail alone goes, too.
    ring.push(&vec![4; half], 4, true);
    assert_eq!(ring.dropped_steps(), 3);
}

#[test]
fn bytes_that_are_no_recording_are_refused_for_what_they_are() {
    let first = |bytes: &[u8]| Reader::new(bytes).advance().map(|item| item.is_some());
    assert_eq!(first(b""), Err(ReadError::NoRecording));
    assert_eq!(first(b"SQLite format 3"), Err(ReadError::NoRecording));
    let mut head = rejoin_record::MAGIC.to_vec();
    assert!(matches!(first(&head), Err(ReadError::Header(_))));
    head.extend([2, 0]);
    assert_eq!(first(&head), Err(ReadError::Newer(2)));
    let mut huge = rejoin_record::MAGIC.to_vec();
    huge.extend([1, 0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(first(&huge), Err(ReadError::Header(_))));
    let file = file(&recorded(), 1);
    let (_, start, _) = records(&file)[0];
    let mut large = file[..start].to_vec();
    large.extend([0xff, 0xff, 0xff, 0xff, 0x7f]);
    let error = all(Replay::new(&large)).unwrap_err();
    assert!(matches!(error, ReplayError::Read(ReadError::TooLarge { step: 0, .. })), "{error}");
}
