//! Several authorities over one store: one feed, one line of each document, one outcome of each change, whoever decides.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::cluster::{Cluster, PAUSES, add, commits, copying, interval, reads, two};
use crate::support::{id, patch, workspace};
use rejoin_core::storage::{Operation, StoreError};
use rejoin_core::{Event, Grant, MAX_COMMITS_IN_A_ROW, MAX_CONFLICT_PAUSE, Rung, Token};
use rejoin_json::Patch;
use rejoin_wire::{
    Body, Change, Counter, DocumentPush, ErrorCode, Message, PushedChange, ReplicaId, Revision, Scope,
    Sequence, UnixMillis,
};

fn rung(cluster: &Cluster, below: usize) -> Rung {
    cluster.below[below].replica.status(&id("d")).unwrap().rung
}

#[test]
fn authorities_that_begin_with_one_store_are_one() {
    let mut cluster = Cluster::empty();
    for at in 0..3 {
        cluster.add_root(true);
        cluster.roots[at].holds = commits;
    }
    cluster.run();
    for root in &mut cluster.roots {
        root.holds = |_| false;
    }
    for at in 0..3 {
        cluster.add(at);
    }
    cluster.run();
    let epochs = cluster.epochs();
    assert_eq!(epochs.len(), 3, "all are welcomed");
    assert!(epochs.windows(2).all(|two| two[0] == two[1]), "{epochs:?}");
    let ids: Vec<ReplicaId> = cluster.roots.iter().map(|root| root.replica.id()).collect();
    assert!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
    let failed = |event: &Event| matches!(event, Event::StoreFailed { .. });
    assert!(!cluster.roots.iter().any(|root| root.events.iter().any(failed)), "that is no failure");
}

#[test]
fn what_one_commits_all_tell_once_and_in_order() {
    let mut cluster = two();
    let list = cluster.add_with(1, Some(Scope::List));
    let only = cluster.add_with(1, None);
    cluster.below[only].replica.open(&id("d"));
    cluster.run();
    let before = cluster.below[1].revisions.len();
    for member in ["a", "b", "c"] {
        cluster.edit(0, "d", &add(member));
    }
    cluster.create(0, "new", "{}");
    assert_eq!(cluster.content(1, "d"), r#"{"a":1,"b":1,"c":1}"#);
    for below in [1, only] {
        cluster.assert_told_once(below);
    }
    assert_eq!(cluster.below[1].revisions.len() - before, 4, "three edits and a creation");
    let newest = cluster.newest_number();
    assert_eq!(cluster.position(1), Some(newest));
    assert_eq!(cluster.position(list), Some(newest));
    let listed = cluster.below[list].replica.list();
    let listed: Vec<_> = listed.iter().map(|item| (item.document.as_str(), item.revision)).collect();
    assert_eq!(listed, [("d", Revision(4)), ("new", Revision(1))]);
    let positions =
        cluster.below[1].told.iter().filter(|told| matches!(told, Message::Position { .. })).count();
    cluster.edit(0, "d", &add("e"));
    let after = cluster.below[1].told.iter().filter(|told| matches!(told, Message::Position { .. })).count();
    assert_eq!(positions, after, "an update says the position itself");
    cluster.assert_numbered();
}

#[test]
fn documents_that_are_not_in_memory_are_told_to_those_who_follow_the_feed() {
    let mut cluster = Cluster::new(2);
    cluster.add(0);
    cluster.run();
    cluster.create(0, "early", "{}");
    // Nobody is below the second one: it has no use for what it hears of.
    let loads = |cluster: &Cluster| {
        let load = |operation: &&Operation| matches!(operation, Operation::LoadDocument { .. });
        cluster.roots[1].operations.iter().filter(load).count()
    };
    assert_eq!(loads(&cluster), 0);
    let follower = cluster.add(1);
    cluster.run();
    cluster.create(0, "late", r#"{"x":1}"#);
    cluster.edit(0, "early", &add("y"));
    cluster.below[follower].replica.open(&id("late"));
    cluster.below[follower].replica.open(&id("early"));
    cluster.run();
    assert_eq!(cluster.content(follower, "late"), r#"{"x":1}"#);
    assert_eq!(cluster.content(follower, "early"), r#"{"y":1}"#);
    assert_eq!(cluster.position(follower), Some(cluster.newest_number()));
}

#[test]
fn both_decide_in_turns_and_nobody_loses_anything() {
    let mut cluster = two();
    for round in 0..5 {
        cluster.edit(0, "d", &add(&format!("a{round}")));
        cluster.edit(1, "d", &add(&format!("b{round}")));
    }
    cluster.run_for(PAUSES);
    let content = cluster.converged("d");
    assert_eq!(content.matches(":1").count(), 10, "{content}");
    cluster.assert_numbered();
    assert_eq!(cluster.roots[0].conflicts + cluster.roots[1].conflicts, 0, "hints came in time");
}

#[test]
fn the_later_of_two_commits_is_decided_again_on_top_of_the_first() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.roots[1].holds = commits;
    cluster.edit(1, "d", r#"[{"op":"add","path":"/x","value":"second"}]"#);
    cluster.edit(0, "d", r#"[{"op":"add","path":"/x","value":"first"}]"#);
    assert_eq!(cluster.content(0, "d"), r#"{"x":"first"}"#);
    cluster.let_through(1);
    assert_eq!(cluster.roots[1].conflicts, 1);
    assert_eq!(rung(&cluster, 1), Rung::Sent, "nothing is said before it is durable");
    cluster.run_for(PAUSES);
    assert_eq!(cluster.converged("d"), r#"{"x":"second"}"#);
    let conflicts = cluster.below[0].replica.view(&id("d")).unwrap().conflicts;
    assert_eq!(conflicts.len(), 1, "the second had not seen the first: {conflicts:?}");
    let failed = |event: &Event| matches!(event, Event::StoreFailed { .. });
    assert!(!cluster.roots[1].events.iter().any(failed), "to lose is no failure of the store");
    cluster.assert_numbered();
    cluster.assert_told_once(0);
}

#[test]
fn a_document_that_only_one_has_changed_waits_for_no_other() {
    let mut cluster = two();
    cluster.create(0, "e", "{}");
    cluster.open("e");
    cluster.roots[1].is_deaf = true;
    cluster.roots[1].holds = commits;
    // Both documents are in one commit, of which one is stale.
    cluster.below[1].replica.edit(&id("d"), patch(&add("mine"))).unwrap();
    cluster.below[1].replica.edit(&id("e"), patch(&add("mine"))).unwrap();
    cluster.run();
    cluster.edit(0, "d", &add("theirs"));
    cluster.roots[1].operations.clear();
    cluster.let_through(1);
    cluster.run_for(PAUSES);
    assert_eq!(cluster.converged("e"), r#"{"mine":1}"#);
    assert_eq!(cluster.converged("d"), r#"{"mine":1,"theirs":1}"#);
    let rows: Vec<&Operation> = cluster.roots[1]
        .operations
        .iter()
        .filter(|operation| matches!(operation, Operation::LoadRows { .. } | Operation::LoadDocument { .. }))
        .collect();
    assert!(
        matches!(rows[..], [Operation::LoadRows { document, .. }] if *document == id("d")),
        "only what is stale is read, and only what is new of it: {rows:?}"
    );
}

#[test]
fn documents_of_two_authorities_share_one_order() {
    let mut cluster = two();
    cluster.create(1, "e", "{}");
    cluster.open("e");
    cluster.roots[1].is_deaf = true;
    cluster.roots[1].holds = commits;
    cluster.edit(1, "e", &add("x"));
    cluster.edit(0, "d", &add("x"));
    cluster.let_through(1);
    assert_eq!(cluster.roots[1].conflicts, 1, "their numbers are the same");
    cluster.run_for(PAUSES);
    cluster.converged("d");
    cluster.converged("e");
    cluster.assert_numbered();
}

#[test]
fn a_hint_that_is_lost_is_made_up_for_while_somebody_is_below() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.edit(0, "d", &add("x"));
    cluster.run_for(interval() - 1_500);
    assert_eq!(cluster.content(1, "d"), "{}");
    cluster.run_for(1_500);
    assert_eq!(cluster.content(1, "d"), r#"{"x":1}"#);
    cluster.assert_told_once(1);
    // With nobody below there is nobody to tell.
    cluster.offline(1);
    cluster.run();
    let asked = cluster.roots[1].operations.len();
    cluster.run_for(10 * interval());
    assert_eq!(cluster.roots[1].operations.len(), asked);
}

#[test]
fn hints_that_are_doubled_early_or_wrong_change_nothing() {
    let mut cluster = two();
    let told = cluster.below[1].told.len();
    for _ in 0..10 {
        cluster.hint(1);
        cluster.hint(1);
        cluster.run();
    }
    assert_eq!(cluster.below[1].told.len(), told);
    // The hint comes before the commit, and again while the store is asked.
    cluster.roots[1].is_deaf = true;
    cluster.roots[0].holds = commits;
    cluster.edit(0, "d", &add("x"));
    cluster.roots[1].holds = reads;
    cluster.hint(1);
    cluster.run();
    cluster.let_through(0);
    cluster.hint(1);
    cluster.let_through(1);
    assert_eq!(cluster.content(1, "d"), r#"{"x":1}"#);
    cluster.assert_told_once(1);
}

#[test]
fn an_authority_that_is_alone_asks_nothing_for_others() {
    let mut cluster = Cluster::empty();
    cluster.add_root(false);
    cluster.add(0);
    cluster.run();
    cluster.create(0, "d", "{}");
    let scans = cluster.roots[0].operations.iter();
    let scans = scans.filter(|operation| matches!(operation, Operation::ScanHeads { .. })).count();
    cluster.run_for(10 * interval());
    cluster.edit(0, "d", &add("x"));
    let after = cluster.roots[0].operations.iter();
    let after = after.filter(|operation| matches!(operation, Operation::ScanHeads { .. })).count();
    assert_eq!(after, scans);
    assert_eq!(cluster.roots[0].replica.poll_timeout(), None);
}

#[test]
fn an_authority_that_believes_itself_alone_finds_out_when_it_commits() {
    let mut cluster = Cluster::empty();
    cluster.add_root(false);
    cluster.add_root(false);
    cluster.roots[0].is_deaf = true;
    cluster.roots[1].is_deaf = true;
    cluster.add(0);
    cluster.add(1);
    cluster.run();
    cluster.open("d");
    cluster.open("e");
    cluster.create(0, "d", r#"{"a":1}"#);
    cluster.create(1, "e", r#"{"b":1}"#);
    cluster.run_for(PAUSES);
    assert_eq!(cluster.content(1, "d"), r#"{"a":1}"#);
    cluster.edit(0, "d", &add("c"));
    cluster.run_for(PAUSES);
    assert_eq!(cluster.content(0, "e"), r#"{"b":1}"#);
    cluster.assert_numbered();
}

#[test]
fn whoever_comes_from_another_authority_finds_all_that_it_was_told_there() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.edit(0, "d", &add("x"));
    cluster.create(0, "e", "{}");
    cluster.move_to(0, 1);
    cluster.run_for(1_000);
    assert_eq!(cluster.content(0, "d"), r#"{"x":1}"#);
    let is_recovered = |event: &Event| matches!(event, Event::Recovered { .. });
    assert!(!cluster.below[0].events.iter().any(is_recovered), "the other authority has not gone back");
    let welcome = cluster.below[0].told.iter().find_map(|told| match told {
        Message::Welcome(welcome) => Some(welcome.head),
        _ => None,
    });
    assert_eq!(welcome, Some(Sequence(3)));
    assert!(
        !cluster.below[0].told.iter().any(|told| matches!(told, Message::Snapshot(_))),
        "it lacks nothing: {:?}",
        cluster.below[0].told
    );
    cluster.edit(0, "d", &add("y"));
    cluster.run_for(PAUSES);
    assert_eq!(cluster.converged("d"), r#"{"x":1,"y":1}"#);
}

#[test]
fn a_change_that_is_pushed_to_another_authority_again_has_its_first_outcome() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.below[0].holds_messages = true;
    cluster.edit(0, "d", &add("x"));
    assert_eq!(cluster.head(&id("d")).0, Revision(2), "it is accepted");
    assert_eq!(rung(&cluster, 0), Rung::Sent, "and its author has not heard");
    cluster.move_to(0, 1);
    cluster.run_for(1_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1}"#);
    assert_eq!(cluster.head(&id("d")).0, Revision(2), "it is not accepted again");
    assert!(!cluster.was_forked(0));
}

#[test]
fn a_change_whose_first_outcome_is_on_its_way_to_the_store_has_one() {
    let mut cluster = two();
    cluster.roots[0].holds = commits;
    cluster.edit(0, "d", &add("x"));
    // The second authority takes it, too, and neither knows of the other's commit.
    cluster.roots[1].holds = commits;
    cluster.move_to(0, 1);
    cluster.run_for(1_000);
    cluster.let_through(0);
    cluster.let_through(1);
    cluster.run_for(1_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1}"#);
    assert_eq!(cluster.head(&id("d")).0, Revision(2));
    assert!(!cluster.was_forked(0));
    cluster.assert_numbered();
}

#[test]
fn a_rejection_by_one_authority_stands_at_the_others() {
    for is_answered in [true, false] {
        let mut cluster = two();
        cluster.roots[1].is_deaf = true;
        cluster.below[0].holds_messages = !is_answered;
        cluster.edit(0, "d", &format!("[{}]", copying("/x")));
        cluster.run();
        // Others go on at the second authority, which has heard of no rejection, past a checkpoint.
        for round in 0..70 {
            cluster.edit(1, "d", r#"[{"op":"add","path":"/n","value":1}]"#);
            assert!(cluster.content(1, "d").contains('n'), "{round}");
        }
        cluster.move_to(0, 1);
        cluster.run_for(1_000);
        cluster.edit(0, "d", &add("y"));
        cluster.run_for(2_000);
        let rejected = cluster.below[0].replica.rejected(&id("d"));
        let codes: Vec<ErrorCode> = rejected.iter().map(|rejected| rejected.code).collect();
        assert_eq!(codes, [ErrorCode::InvalidPatch], "answered: {is_answered}");
        assert_eq!(cluster.converged("d"), r#"{"n":1,"y":1}"#);
        assert!(!cluster.was_forked(0), "answered: {is_answered}");
        // The same to an authority that starts anew from the checkpoint of the one that knew nothing.
        cluster.restart_root(1);
        cluster.run_for(5_000);
        cluster.edit(0, "d", &add("z"));
        cluster.run_for(2_000);
        assert_eq!(cluster.converged("d"), r#"{"n":1,"y":1,"z":1}"#);
    }
}

#[test]
fn a_copied_replica_is_found_by_another_authority() {
    let mut cluster = two();
    let store = cluster.copy_of_store(0);
    cluster.roots[1].is_deaf = true;
    cluster.edit(0, "d", &add("x"));
    let copy = cluster.add_copy(1, Some(Scope::Documents), store);
    cluster.below[copy].network = false;
    cluster.run();
    cluster.below[copy].replica.open(&id("d"));
    cluster.run();
    cluster.edit(copy, "d", &add("y"));
    cluster.below[copy].network = true;
    cluster.run_for(60_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1,"y":1}"#);
    assert!(cluster.was_forked(copy));
    assert!(!cluster.was_forked(0));
}

#[test]
fn a_copied_replica_is_found_while_both_commits_are_under_way() {
    let mut cluster = two();
    let store = cluster.copy_of_store(0);
    let copy = cluster.add_copy(1, Some(Scope::Documents), store);
    cluster.run();
    cluster.below[copy].replica.open(&id("d"));
    cluster.run();
    for root in &mut cluster.roots {
        root.holds = commits;
    }
    cluster.edit(0, "d", &add("x"));
    cluster.edit(copy, "d", &add("y"));
    cluster.let_through(0);
    cluster.let_through(1);
    cluster.run_for(5_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1,"y":1}"#);
    assert!(cluster.was_forked(copy));
}

#[test]
fn an_author_is_asked_what_it_saw_by_the_authority_that_it_came_to() {
    let mut cluster = two();
    cluster.edit(0, "d", &add("x"));
    // Pending changes one upon the other: what the second was made on only their author knows, at an authority that decided none of them.
    cluster.offline(0);
    cluster.run();
    for member in ["a", "b", "c"] {
        cluster.edit(0, "d", &add(member));
    }
    cluster.edit(1, "d", &add("other"));
    cluster.roots[0].holds = commits;
    cluster.below[0].network = true;
    cluster.run_for(60_000);
    // The first authority has taken them, and dies before it says so.
    cluster.move_to(0, 1);
    cluster.run_for(1_000);
    cluster.edit(0, "d", &add("d"));
    cluster.let_through(0);
    cluster.run_for(5_000);
    assert_eq!(cluster.converged("d"), r#"{"a":1,"b":1,"c":1,"d":1,"other":1,"x":1}"#);
}

#[test]
fn a_document_is_opened_as_far_as_the_feed_is_told() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.create(0, "e", "{}");
    cluster.edit(0, "e", &add("x"));
    // It is not in memory of the second authority, which reads more of it than it has told of the feed.
    cluster.below[1].replica.open(&id("e"));
    cluster.run();
    assert_eq!(cluster.content(1, "e"), r#"{"x":1}"#);
    cluster.edit(0, "e", &add("y"));
    cluster.hint(1);
    cluster.run();
    assert_eq!(cluster.content(1, "e"), r#"{"x":1,"y":1}"#);
    cluster.assert_told_once(1);
    assert_eq!(cluster.position(1), Some(cluster.newest_number()));
}

#[test]
fn a_commit_that_reached_the_store_without_an_answer_is_found_there() {
    let mut cluster = two();
    cluster.roots[0].holds = commits;
    cluster.edit(0, "d", &add("x"));
    cluster.execute(0, 0);
    let (request, _, _) = cluster.roots[0].done.pop_back().unwrap();
    let answer = Err(StoreError::Unavailable("the connection was lost".into()));
    let now = cluster.now;
    cluster.roots[0].replica.handle_input(now, rejoin_core::Input::Stored { request, answer });
    cluster.let_through(0);
    cluster.run_for(2_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1}"#);
    assert_eq!(cluster.head(&id("d")).0, Revision(2));
    assert_eq!(rung(&cluster, 0), Rung::Acknowledged);
}

#[test]
fn a_store_that_refuses_for_no_reason_that_can_be_seen_is_read_anew() {
    let mut cluster = two();
    cluster.store.fail_next_commits(2, StoreError::Conflict("a disk that is written by others".into()));
    cluster.edit(0, "d", &add("x"));
    cluster.run_for(2_000);
    assert_eq!(cluster.converged("d"), r#"{"x":1}"#);
    let failed = |event: &Event| matches!(event, Event::StoreFailed { .. });
    assert!(cluster.roots[0].events.iter().any(failed));
    assert!(matches!(
        cluster.roots[0]
            .events
            .iter()
            .rev()
            .find(|event| { failed(event) || matches!(event, Event::StoreWorks) }),
        Some(Event::StoreWorks)
    ));
}

#[test]
fn who_always_commits_leaves_room_for_who_waits() {
    let mut cluster = two();
    cluster.roots[0].is_deaf = true;
    cluster.roots[1].is_deaf = true;
    cluster.edit(1, "d", &add("first"));
    let pauses = |cluster: &Cluster| cluster.roots[0].replica.poll_timeout();
    let _ = pauses(&cluster);
    // Commits right behind one another: there is always the next push.
    let push = |counter: u64| {
        let body = Body::Edit { patch: Patch(Vec::new()), settles: Vec::new(), undoes: None };
        let change = Change {
            replica: ReplicaId(77),
            counter: Counter(counter),
            base: Revision(1),
            over: Counter(counter),
            time: UnixMillis(0),
            body,
        };
        let changes = vec![PushedChange { change, seen: None }];
        Message::Push { pushes: vec![DocumentPush { document: id("d"), changes, author: None }] }
    };
    let link = rejoin_core::LinkId(999);
    let peer = rejoin_core::Peer {
        replica: ReplicaId(77),
        encoding: rejoin_wire::Encoding::Binary,
        grant: Grant::new("busy", true),
        token: None,
    };
    let now = cluster.now;
    cluster.roots[0].replica.handle_input(now, rejoin_core::Input::LinkOpened { link, peer });
    cluster.run();
    let commits_before = cluster.roots[0].commits;
    cluster.roots[0].holds = commits;
    let mut in_a_row = 0;
    for counter in 1..=u64::from(MAX_COMMITS_IN_A_ROW) + 1 {
        let message = push(counter);
        cluster.roots[0].replica.handle_input(now, rejoin_core::Input::Received { link, message });
        cluster.run();
        if cluster.roots[0].asked.is_empty() {
            break;
        }
        let message = push(counter + 1);
        cluster.roots[0].replica.handle_input(now, rejoin_core::Input::Received { link, message });
        cluster.execute(0, 0);
        cluster.answer(0, 0);
        in_a_row += 1;
    }
    assert_eq!(in_a_row, u64::from(MAX_COMMITS_IN_A_ROW));
    assert!(cluster.roots[0].asked.is_empty(), "after so many commits there is a pause");
    assert!(cluster.roots[0].replica.poll_timeout().is_some());
    cluster.roots[0].holds = |_| false;
    cluster.run_for(100);
    assert!(cluster.roots[0].commits > commits_before);
}

#[test]
fn two_that_fight_for_one_document_both_get_on() {
    let mut cluster = two();
    for root in &mut cluster.roots {
        root.is_deaf = true;
    }
    let mut acknowledged = [0; 2];
    for round in 0..40 {
        // Both have decided before either has committed: one of them loses, each time.
        for (below, root) in [(0, 0), (1, 1)] {
            cluster.roots[root].holds = commits;
            let member = format!("m{below}r{round}");
            cluster.below[below].replica.edit(&id("d"), patch(&add(&member))).unwrap();
        }
        cluster.run();
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for root in order {
            cluster.let_through(root);
        }
        cluster.run_for(u64::try_from(MAX_CONFLICT_PAUSE.as_millis()).unwrap());
        for (below, count) in acknowledged.iter_mut().enumerate() {
            *count += usize::from(rung(&cluster, below) == Rung::Acknowledged);
        }
    }
    assert_eq!(acknowledged, [40, 40], "who loses once does not lose again");
    cluster.run_for(5_000);
    let content = cluster.converged("d");
    assert_eq!(content.matches(":1").count(), 80);
    cluster.assert_numbered();
}

#[test]
fn a_document_that_another_authority_mended_is_whole_again() {
    let mut cluster = two();
    for member in ["a", "b", "c"] {
        cluster.edit(0, "d", &add(member));
    }
    cluster.converged("d");
    let place = |place: &rejoin_store::Place| matches!(place, rejoin_store::Place::Changes(_, revision, ..) if *revision == Revision(3));
    let row = cluster.store.bodies(&workspace()).into_iter().find(place).unwrap();
    // Both read it anew while nobody is there who could help.
    cluster.offline(0);
    cluster.offline(1);
    assert!(cluster.store.corrupt(&workspace(), &row, |body| body.clear()));
    cluster.restart_root(0);
    cluster.restart_root(1);
    cluster.run();
    for at in 0..2 {
        cluster.roots[at].replica.read(Token(1), &id("d"));
        cluster.run();
        let is_damaged = |event: &Event| matches!(event, Event::Damaged { .. });
        assert!(cluster.roots[at].events.iter().any(is_damaged));
    }
    cluster.below[0].network = true;
    cluster.run_for(120_000);
    let is_mended = |event: &Event| matches!(event, Event::Mended { .. });
    assert!(cluster.roots[0].events.iter().any(is_mended));
    assert_eq!(cluster.head(&id("d")).0, Revision(5), "a revision says so, once");
    cluster.below[1].network = true;
    cluster.run_for(120_000);
    assert_eq!(cluster.head(&id("d")).0, Revision(5));
    cluster.edit(1, "d", &add("e"));
    cluster.run_for(1_000);
    assert_eq!(cluster.converged("d"), r#"{"a":1,"b":1,"c":1,"e":1}"#);
}
