//! Stored rows and checkpoints of the authority that cannot be read.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::cluster::copying;
use crate::support::{World, id, json, patch, workspace};
use rejoin_core::{Base, Event, Grant, Life, Reply, Token};
use rejoin_json::Limits;
use rejoin_store::{MemoryStore, Place};
use rejoin_wire::{Body, ErrorCode, Message, Revision, Scope};

/// A world whose root and one follower hold so many revisions of `d`, one a row.
fn grown(revisions: u64) -> World {
    grown_with(1, revisions)
}

fn grown_with(followers: usize, revisions: u64) -> World {
    let mut world = World::new(followers);
    world.open("d");
    world.create(0, "d", r#"{"n":1}"#);
    grow(&mut world, 2..=revisions);
    world
}

fn grow(world: &mut World, revisions: std::ops::RangeInclusive<u64>) {
    for revision in revisions {
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/n","value":{revision}}}]"#));
    }
}

/// Spoils what a condition names of what the root has stored, and starts the root again; gives how much it was.
fn spoil(world: &mut World, condition: impl Fn(&Place) -> bool) -> usize {
    let mut store = world.root.store.clone();
    let places: Vec<Place> =
        store.bodies(&workspace()).into_iter().filter(|place| condition(place)).collect();
    for place in &places {
        assert!(store.corrupt(&workspace(), place, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55)));
    }
    world.restart_root(store);
    places.len()
}

fn checkpoint(place: &Place) -> Option<u64> {
    match place {
        Place::Checkpoint(of, revision) if *of == id("d") => Some(revision.0),
        _ => None,
    }
}

/// The first revision of a row.
fn row(place: &Place) -> Option<u64> {
    match place {
        Place::Changes(of, revision, ..) if *of == id("d") => Some(revision.0),
        _ => None,
    }
}

fn checkpoints(world: &World) -> Vec<u64> {
    world.root.store.bodies(&workspace()).iter().filter_map(checkpoint).collect()
}

/// What the root answers one who asks it for the document.
fn read(world: &mut World) -> Reply {
    world.root.replica.read(Token(1), &id("d"));
    world.run();
    world.root.replies.remove(&1).unwrap()
}

fn damage(world: &World) -> Vec<(u64, u64)> {
    let damage = |event: &Event| match event {
        Event::Damaged { readable, newest, .. } => Some((readable.0, newest.0)),
        _ => None,
    };
    world.root.events.iter().filter_map(damage).collect()
}

fn quarantined(world: &World) -> bool {
    world.root.events.contains(&Event::Quarantined { document: id("d") })
}

#[test]
fn the_two_newest_checkpoints_are_kept() {
    let mut world = grown(64);
    assert_eq!(checkpoints(&world), [64]);
    grow(&mut world, 65..=200);
    assert_eq!(checkpoints(&world), [128, 192]);
}

#[test]
fn a_large_content_is_not_written_whole_for_each_few_small_edits() {
    let mut world = grown(1);
    let text = "x".repeat(300_000);
    world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/text","value":"{text}"}}]"#));
    grow(&mut world, 3..=64);
    assert_eq!(checkpoints(&world), [64]);
    grow(&mut world, 65..=64 + 1_023);
    assert_eq!(checkpoints(&world), [64]);
    // What was read of the rows counts after a start, and so does what comes behind it.
    world.restart_root(world.root.store.clone());
    world.run_for(60_000);
    grow(&mut world, 64 + 1_024..=64 + 1_030);
    assert_eq!(checkpoints(&world).len(), 2);
    world.restart_root(world.root.store.clone());
    world.run_for(60_000);
    assert!(matches!(read(&mut world), Reply::Document(view) if view.revision == Revision(1_094)));
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_made_again_from_the_one_before() {
    for (spoiled, kept) in [(vec![192], vec![128, 192]), (vec![128, 192], vec![128, 192])] {
        let mut world = grown(200);
        let count = spoil(&mut world, |place| checkpoint(place).is_some_and(|at| spoiled.contains(&at)));
        assert_eq!(count, spoiled.len());
        world.run_for(60_000);
        assert!(matches!(read(&mut world), Reply::Document(view)
            if view.content == json(r#"{"n":200}"#) && view.unreadable.is_none()));
        assert!(quarantined(&world) && damage(&world).is_empty());
        assert!(world.root.events.contains(&Event::Mended { document: id("d") }));
        assert_eq!(checkpoints(&world), kept);
        world.restart_root(world.root.store.clone());
        world.run_for(60_000);
        assert!(!quarantined(&world), "it is read as if nothing had been");
        world.edit(0, "d", r#"[{"op":"add","path":"/after","value":true}]"#);
        assert_eq!(world.converged("d"), r#"{"after":true,"n":200}"#);
    }
}

#[test]
fn a_long_history_is_read_again_from_its_beginning_page_by_page() {
    let mut world = grown(1_100);
    assert_eq!(spoil(&mut world, |place| checkpoint(place).is_some()), 2);
    world.run_for(60_000);
    assert!(matches!(read(&mut world), Reply::Document(view) if view.revision == Revision(1_100)));
    grow(&mut world, 1_101..=1_102);
    assert_eq!(world.converged("d"), r#"{"n":1102}"#);
}

#[test]
fn rejections_before_a_checkpoint_that_is_made_again_stay_known() {
    let mut world = grown(70);
    world.edit(0, "d", &format!("[{}]", copying("/long")));
    assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 1);
    grow(&mut world, 71..=130);
    assert_eq!(spoil(&mut world, |place| checkpoint(place).is_some()), 2);
    world.run_for(60_000);
    read(&mut world);
    world.restart_root(world.root.store.clone());
    world.run_for(60_000);
    grow(&mut world, 131..=131);
    assert_eq!(world.converged("d"), r#"{"n":131}"#);
    assert!(!world.followers[0].events.iter().any(|event| matches!(event, Event::Forked { .. })));
}

#[test]
fn rejections_that_cannot_be_read_make_nothing_read_only() {
    let mut world = grown(3);
    world.edit(0, "d", &format!("[{}]", copying("/long")));
    let rejections = |place: &Place| row(place) == Some(4);
    assert_eq!(spoil(&mut world, rejections), 1);
    world.run_for(60_000);
    grow(&mut world, 4..=4);
    assert!(quarantined(&world) && damage(&world).is_empty());
    assert_eq!(world.converged("d"), r#"{"n":4}"#);
    assert!(!world.followers[0].events.iter().any(|event| matches!(event, Event::Forked { .. })));
}

#[test]
fn old_rows_that_cannot_be_read_end_the_history_there_and_harm_nothing_else() {
    let mut world = grown(200);
    // What a follower makes on an old revision while it is away.
    world.offline(0);
    world.edit(0, "d", r#"[{"op":"add","path":"/away","value":true}]"#);
    assert_eq!(spoil(&mut world, |place| row(place) == Some(100)), 1);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"away":true,"n":200}"#);
    assert!(damage(&world).is_empty());
    let mut before = None;
    let mut first = u64::MAX;
    let mut refused = false;
    for _ in 0..10 {
        world.root.replica.history(Token(2), &id("d"), before, 40);
        world.run();
        match world.root.replies.remove(&2) {
            Some(Reply::History(page)) => (first, before) = (page.first.0, Some(page.first)),
            Some(Reply::Refused { code: ErrorCode::Corrupted, .. }) => {
                refused = true;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused);
    assert_eq!(first, 101, "the oldest that can be reached");
}

#[test]
fn a_document_is_read_only_at_the_newest_revision_that_can_be_read() {
    let mut world = grown(10);
    let behind = world.add(Some(Scope::Documents), MemoryStore::new());
    world.followers[behind].replica.open(&id("d"));
    world.offline(0);
    assert_eq!(spoil(&mut world, |place| row(place) == Some(8)), 1);
    world.run_for(60_000);
    let Reply::Document(view) = read(&mut world) else { panic!("nothing is shown") };
    assert_eq!((view.content.canonical(), view.revision), (r#"{"n":7}"#.into(), Revision(7)));
    assert_eq!(view.unreadable, Some(Revision(10)));
    assert_eq!(damage(&world), [(7, 10)]);
    assert_eq!(world.content(behind, "d"), r#"{"n":7}"#);
    world.edit(behind, "d", r#"[{"op":"add","path":"/kept","value":true}]"#);
    world.run_for(100_000);
    assert_eq!(world.followers[behind].replica.pending(&id("d")).len(), 1, "never dropped");
    assert!(world.followers[behind].replica.rejected(&id("d")).is_empty());
    assert!(world.errors(behind).iter().any(|error| error.code == ErrorCode::Corrupted));
    let (grant, edit) = (Grant::new("rest", true), patch(r#"[{"op":"add","path":"/rest","value":1}]"#));
    let body = Body::Edit { patch: edit, settles: Vec::new(), undoes: None };
    world.root.replica.submit(Token(3), grant, &id("d"), body, Base::Current, None);
    world.run();
    assert!(matches!(world.root.replies.remove(&3), Some(Reply::Refused { code: ErrorCode::Corrupted, .. })));
}

#[test]
fn what_waits_while_a_damaged_document_is_read_is_refused() {
    let mut world = grown(10);
    world.offline(0);
    spoil(&mut world, |place| row(place) == Some(8));
    let body = Body::Edit {
        patch: rejoin_json::Patch::parse("[]", &Limits::default()).unwrap(),
        settles: Vec::new(),
        undoes: None,
    };
    world.root.replica.submit(Token(3), Grant::new("rest", true), &id("d"), body, Base::Current, None);
    world.run();
    assert!(matches!(world.root.replies.remove(&3), Some(Reply::Refused { code: ErrorCode::Corrupted, .. })));
}

#[test]
fn who_holds_more_than_can_be_read_keeps_it_and_takes_it_for_no_loss() {
    let mut world = grown(70);
    let second = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run();
    world.edit(0, "d", r#"[{"op":"add","path":"/newest","value":true}]"#);
    let pending = r#"[{"op":"add","path":"/pending","value":true}]"#;
    // Nobody has what leads to the newest revision any more.
    spoil(&mut world, |place| checkpoint(place).is_some() || row(place) == Some(50));
    let mut store = world.followers[0].store.clone();
    for place in store.bodies(&workspace()) {
        if row(&place).is_some_and(|first| first < 60) {
            store.corrupt(&workspace(), &place, Vec::clear);
        }
    }
    world.followers[0].store = store;
    world.restart(0, Some(Scope::Documents));
    world.restart(second, Some(Scope::Documents));
    world.root_heard.clear();
    world.open("d");
    world.edit(0, "d", pending);
    world.run_for(60_000);
    assert_eq!(world.content(0, "d"), r#"{"n":70,"newest":true,"pending":true}"#);
    assert_eq!(world.content(second, "d"), r#"{"n":70,"newest":true}"#);
    assert_eq!(damage(&world), [(49, 71)]);
    let line = |node: &crate::support::Node| node.replica.confirmed(&id("d")).map(|view| view.revision);
    assert!(world.followers.iter().all(|node| line(node) == Some(Revision(71))));
    assert!(world.followers.iter().all(|node| node.replica.recovered(&id("d")).is_empty()));
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), 1);
    let pushed = |message: &Message| matches!(message, Message::Push { .. });
    assert!(!world.root_heard.iter().any(pushed), "nothing is pushed in vain");
}

fn mended(world: &World) -> bool {
    world.root.events.contains(&Event::Mended { document: id("d") })
}

/// What a follower was asked for of revisions that the root cannot read.
fn needed(world: &World, at: usize) -> Vec<(u64, u64)> {
    let needed = |message: &Message| match message {
        Message::NeedEntries { after, until, .. } => Some((after.0, until.0)),
        _ => None,
    };
    world.followers[at].messages.iter().filter_map(needed).collect()
}

#[test]
fn revisions_that_cannot_be_read_are_had_from_one_who_holds_them() {
    let mut world = grown(10);
    let pending = r#"[{"op":"add","path":"/pending","value":true}]"#;
    world.offline(0);
    world.edit(0, "d", pending);
    assert_eq!(spoil(&mut world, |place| row(place).is_some_and(|first| (6..=8).contains(&first))), 3);
    let reader = world.add(Some(Scope::Documents), MemoryStore::new());
    world.followers[reader].replica.open(&id("d"));
    world.run_for(60_000);
    assert_eq!(world.content(reader, "d"), r#"{"n":5}"#);
    assert_eq!(damage(&world), [(5, 10)]);
    world.online(0);
    assert_eq!(needed(&world, 0), [(5, 8)], "just what is missing before what can be read");
    assert!(mended(&world));
    assert_eq!(world.converged("d"), r#"{"n":10,"pending":true}"#);
    // The void change says to everybody that there is something new.
    assert_eq!(world.followers[reader].replica.view(&id("d")).unwrap().revision, Revision(12));
    assert!(world.followers.iter().all(|node| node.replica.recovered(&id("d")).is_empty()));
    world.restart_root(world.root.store.clone());
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"n":10,"pending":true}"#);
    assert!(!quarantined(&world) && damage(&world).is_empty());
}

#[test]
fn several_gaps_are_mended_one_after_the_other_up_to_the_newest_revision() {
    let mut world = grown(12);
    assert_eq!(spoil(&mut world, |place| matches!(row(place), Some(1 | 4 | 5 | 9 | 12))), 5);
    world.run_for(60_000);
    assert_eq!(needed(&world, 0), [(0, 1), (3, 5), (8, 9), (11, 12)]);
    assert!(mended(&world));
    assert_eq!(world.converged("d"), r#"{"n":12}"#);
}

#[test]
fn who_follows_the_feed_gives_what_it_holds_without_having_it_open() {
    let mut world = World::new(2);
    world.followers[0].replica.open(&id("d"));
    world.run();
    world.create(0, "d", r#"{"n":1}"#);
    grow(&mut world, 2..=6);
    world.followers[0].replica.open(&id("newer"));
    world.run();
    world.create(0, "newer", "{}");
    world.offline(0);
    spoil(&mut world, |place| matches!(row(place), Some(3 | 6)));
    world.run_for(60_000);
    assert!(damage(&world).is_empty(), "nothing is new in the feed, so nobody looked");
    read(&mut world);
    world.run_for(60_000);
    assert!(mended(&world), "{:?}", world.root.events);
    assert!(!needed(&world, 1).is_empty());
    world.online(0);
    world.followers[1].replica.open(&id("d"));
    world.run();
    assert_eq!(world.converged("d"), r#"{"n":6}"#);
}

#[test]
fn who_was_told_of_less_meanwhile_is_told_of_the_rest_though_its_cursor_is_past_it() {
    let mut world = grown(10);
    world.offline(0);
    spoil(&mut world, |place| row(place) == Some(8));
    let reader = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run_for(60_000);
    world.offline(reader);
    world.online(0);
    assert!(mended(&world));
    world.online(reader);
    world.followers[reader].replica.open(&id("d"));
    world.run();
    assert_eq!(world.converged("d"), r#"{"n":10}"#);
}

#[test]
fn a_root_that_starts_again_before_everybody_was_told_tells_them_then() {
    let mut world = grown(10);
    let mut store = world.root.store.clone();
    let spoiled: Vec<Place> =
        store.bodies(&workspace()).into_iter().filter(|place| row(place) == Some(8)).collect();
    for place in &spoiled {
        store.corrupt(&workspace(), place, Vec::clear);
    }
    world.offline(0);
    world.restart_root(store);
    let reader = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run_for(60_000);
    world.offline(reader);
    // The row is written, and of the void change the store does not hear.
    world.root.holds_changes = true;
    world.online(0);
    let store = world.root.store.clone();
    world.offline(0);
    world.restart_root(store);
    world.run_for(60_000);
    world.online(reader);
    world.followers[reader].replica.open(&id("d"));
    world.run();
    assert_eq!(world.content(reader, "d"), r#"{"n":10}"#);
}

/// An entry that nobody has made.
fn strange(effect: rejoin_wire::Effect) -> rejoin_wire::Entry {
    rejoin_wire::Entry {
        sequence: rejoin_wire::Sequence(8),
        change: rejoin_wire::ChangeId {
            replica: rejoin_wire::ReplicaId(9),
            counter: rejoin_wire::Counter(1),
        },
        hash: rejoin_wire::ChangeHash([1; 32]),
        author: "eve".into(),
        time: rejoin_wire::UnixMillis(1),
        effect,
        conflicts: Vec::new(),
        settled: Vec::new(),
    }
}

#[test]
fn history_says_of_a_revision_that_it_tells_of_a_mended_document_and_how_that_stands() {
    for deleted in [false, true] {
        let mut world = grown(10);
        if deleted {
            world.followers[0].replica.delete(&id("d")).unwrap();
            world.run();
        }
        spoil(&mut world, |place| row(place) == Some(8));
        world.run_for(60_000);
        assert!(mended(&world));
        world.root.replica.history(Token(2), &id("d"), None, 3);
        world.run();
        let Some(Reply::History(page)) = world.root.replies.remove(&2) else { panic!("no history") };
        let lives: Vec<_> = page.entries.iter().map(|entry| entry.mended).collect();
        let life = if deleted { Life::Deleted } else { Life::Alive };
        assert_eq!(lives, [None, None, Some(life)]);
        assert_eq!(page.entries[2].before, Some(json(r#"{"n":10}"#)));
    }
}

#[test]
fn what_somebody_else_does_in_vain_tells_of_no_mending() {
    let mut world = grown(1);
    let submit = |world: &mut World, body| {
        world.root.replica.submit(Token(3), Grant::new("rest", true), &id("d"), body, Base::Current, None);
        world.run();
        assert!(matches!(world.root.replies.remove(&3), Some(Reply::Accepted(_))));
    };
    submit(&mut world, Body::Undelete);
    submit(&mut world, Body::Delete);
    submit(&mut world, Body::Delete);
    world.root.replica.history(Token(2), &id("d"), None, 10);
    world.run();
    let Some(Reply::History(page)) = world.root.replies.remove(&2) else { panic!("no history") };
    assert_eq!(page.entries.len(), 4);
    assert!(page.entries.iter().all(|entry| entry.mended.is_none()));
}

#[test]
fn entries_that_prove_nothing_are_refused_and_others_are_asked() {
    let (mut world, second) = (grown_with(2, 10), 1);
    world.offline(0);
    world.offline(second);
    spoil(&mut world, |place| row(place) == Some(8));
    world.run_for(60_000);
    world.followers[0].holds_messages = true;
    world.online(0);
    // Another entry in the place of the right one.
    let patch = patch(r#"[{"op":"add","path":"/eve","value":1}]"#);
    let entry = strange(rejoin_wire::Effect::Patched { patch });
    let give = |first, entries| Message::Entries { document: id("d"), first: Revision(first), entries };
    world.say_to_root(second, give(8, vec![entry.clone()]));
    world.say_to_root(0, give(8, vec![entry.clone()]));
    world.run();
    assert!(!mended(&world));
    let Reply::Document(view) = read(&mut world) else { panic!("nothing is shown") };
    assert_eq!(view.unreadable, Some(Revision(10)));
    world.online(second);
    assert!(mended(&world), "the other has it");
    assert_eq!(needed(&world, second), [(7, 8)]);
    world.let_messages_through(0);
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"n":10}"#);
    // Nobody asked for these.
    world.say_to_root(0, give(8, vec![entry]));
    world.run();
    assert_eq!(world.converged("d"), r#"{"n":10}"#);
}

#[test]
fn one_who_does_not_answer_holds_nobody_up() {
    let (mut world, second) = (grown_with(2, 10), 1);
    spoil(&mut world, |place| row(place) == Some(8));
    world.followers[0].holds_messages = true;
    world.followers[second].network = false;
    world.run_for(30_000);
    world.followers[second].network = true;
    let patience = u64::try_from(rejoin_core::MENDING_PATIENCE.as_millis()).unwrap();
    world.run_for(patience + 60_000);
    assert!(mended(&world));
    assert_eq!(needed(&world, second), [(7, 8)]);
}

#[test]
fn entries_that_never_end_are_not_held() {
    let mut world = grown(10);
    world.offline(0);
    spoil(&mut world, |place| row(place).is_some_and(|first| first >= 8));
    world.followers[0].holds_messages = true;
    world.online(0);
    let content = rejoin_json::Json::from("x".repeat(8 << 20));
    let entry = strange(rejoin_wire::Effect::Created { header: rejoin_wire::Header::default(), content });
    let most = rejoin_core::MAX_MENDING_BYTES / (8 << 20) + 1;
    let entries = vec![entry; most];
    assert!(entries.len() > 3, "more than the three that are missing is refused too");
    world.say_to_root(0, Message::Entries { document: id("d"), first: Revision(8), entries });
    world.run();
    assert!(!mended(&world));
    world.followers[0].holds_messages = false;
    world.cut(0);
    world.run_for(60_000);
    assert!(mended(&world), "on another link it is asked again");
}

#[test]
fn a_relay_gives_what_it_holds() {
    let mut world = World::new(1);
    let relay = world.add_relay(None);
    let below = world.add_below(relay);
    world.run_for(60_000);
    world.open("d");
    world.create(0, "d", r#"{"n":1}"#);
    grow(&mut world, 2..=10);
    world.run();
    assert_eq!(world.content(below, "d"), r#"{"n":10}"#);
    world.offline(0);
    spoil(&mut world, |place| row(place) == Some(8));
    world.run_for(120_000);
    assert!(mended(&world));
    assert_eq!(needed(&world, relay), [(7, 8)]);
    world.edit(below, "d", r#"[{"op":"add","path":"/below","value":true}]"#);
    world.online(0);
    assert_eq!(world.content(below, "d"), r#"{"below":true,"n":10}"#);
    assert_eq!(world.content(0, "d"), r#"{"below":true,"n":10}"#);
}
