//! Requests of those without a replica, at several authorities over one store.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::cluster::{Cluster, PAUSES, add, commits, interval, reads, two};
use crate::support::{id, json, patch};
use rejoin_core::storage::StoreError;
use rejoin_core::{Base, Grant, Reply, RequestKey, Token};
use rejoin_wire::{Body, ErrorCode, Revision, Sequence, to_bytes};

/// A request that puts a member.
fn submit(cluster: &mut Cluster, at: usize, token: u64, member: &str, base: Base, key: Option<&str>) {
    let body = Body::Edit { patch: patch(&add(member)), settles: Vec::new(), undoes: None };
    let key = key.map(|key| RequestKey::new(key, &[&to_bytes(&body)]));
    let grant = Grant::new("ada", true);
    let root = &mut cluster.roots[at].replica;
    root.submit(Token(token), grant, &id("d"), body, base, key.as_ref());
    cluster.run();
}

#[test]
fn a_keyed_request_has_one_outcome_at_all_authorities() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    submit(&mut cluster, 0, 1, "x", Base::Current, Some("k"));
    submit(&mut cluster, 1, 2, "x", Base::Current, Some("k"));
    cluster.run_for(PAUSES);
    for (at, token) in [(0, 1), (1, 2)] {
        let Reply::Accepted(accepted) = &cluster.roots[at].replies[&token] else { panic!("not accepted") };
        assert_eq!(accepted.revision, Revision(2));
    }
    assert_eq!(cluster.head(&id("d")).0, Revision(2));
    // With another request the key is refused, here too.
    submit(&mut cluster, 1, 3, "y", Base::Current, Some("k"));
    cluster.run_for(PAUSES);
    let refused = &cluster.roots[1].replies[&3];
    assert!(matches!(refused, Reply::Refused { code: ErrorCode::IdempotencyMismatch, .. }), "{refused:?}");
}

#[test]
fn a_keyed_request_that_both_have_asked_the_store_about_is_made_once() {
    let mut cluster = two();
    for root in &mut cluster.roots {
        root.holds = commits;
    }
    submit(&mut cluster, 0, 1, "x", Base::Current, Some("k"));
    submit(&mut cluster, 1, 2, "x", Base::Current, Some("k"));
    cluster.let_through(0);
    cluster.let_through(1);
    cluster.run_for(PAUSES);
    for (at, token) in [(0, 1), (1, 2)] {
        let reply = &cluster.roots[at].replies[&token];
        assert!(matches!(reply, Reply::Accepted(accepted) if accepted.revision == Revision(2)), "{reply:?}");
    }
    assert_eq!(cluster.head(&id("d")).0, Revision(2));
}

#[test]
fn requests_without_a_key_have_numbers_of_their_own_at_both() {
    let mut cluster = two();
    for root in &mut cluster.roots {
        root.is_deaf = true;
        root.holds = commits;
    }
    submit(&mut cluster, 0, 1, "x", Base::Current, None);
    submit(&mut cluster, 1, 2, "y", Base::Current, None);
    cluster.let_through(0);
    cluster.let_through(1);
    cluster.run_for(PAUSES);
    for (at, token) in [(0, 1), (1, 2)] {
        assert!(matches!(&cluster.roots[at].replies[&token], Reply::Accepted(_)));
    }
    cluster.run_for(interval());
    assert_eq!(cluster.converged("d"), r#"{"x":1,"y":1}"#);
}

#[test]
fn a_request_without_a_key_is_made_once_whether_or_not_the_commit_was_done_that_failed() {
    for was_done in [true, false] {
        let mut cluster = two();
        cluster.roots[0].holds = commits;
        submit(&mut cluster, 0, 1, "x", Base::Exactly(Revision(1)), None);
        if was_done {
            cluster.lose_answers(0);
        } else {
            cluster.fail_held(0, &StoreError::Unavailable("test".into()));
        }
        // The other gives the same number, or the next.
        submit(&mut cluster, 1, 2, "y", Base::Current, None);
        cluster.let_through(0);
        cluster.run_for(interval());
        let replies = [&cluster.roots[0].replies[&1], &cluster.roots[1].replies[&2]];
        let made = |reply: &Reply| matches!(reply, Reply::Accepted(_));
        assert_eq!(replies.map(made), [was_done, true], "{replies:?}");
        assert_eq!(cluster.converged("d"), if was_done { r#"{"x":1,"y":1}"# } else { r#"{"y":1}"# });
        assert_eq!(cluster.head(&id("d")).0, Revision(if was_done { 3 } else { 2 }));
    }
}

#[test]
fn a_request_without_a_key_whose_number_another_authority_gave_is_made_under_the_next() {
    let mut cluster = two();
    cluster.roots[0].holds = commits;
    submit(&mut cluster, 0, 1, "x", Base::Current, None);
    cluster.fail_held(0, &StoreError::Unavailable("test".into()));
    submit(&mut cluster, 1, 2, "y", Base::Current, None);
    cluster.let_through(0);
    cluster.run_for(interval());
    for (at, token, revision) in [(0, 1, 3), (1, 2, 2)] {
        let reply = &cluster.roots[at].replies[&token];
        let is_made = matches!(reply, Reply::Accepted(accepted) if accepted.revision == Revision(revision));
        assert!(is_made, "{reply:?}");
    }
    assert_eq!(cluster.converged("d"), r#"{"x":1,"y":1}"#);
}

#[test]
fn a_request_on_what_another_authority_made_is_not_refused() {
    let mut cluster = two();
    cluster.roots[1].is_deaf = true;
    cluster.edit(0, "d", &add("x"));
    let hash = json(r#"{"x":1}"#).content_hash();
    let bases = [Base::Revision(Revision(2)), Base::Hash(hash), Base::Both(Revision(2), hash)];
    for (token, base) in (1..).zip(bases) {
        submit(&mut cluster, 1, token, &format!("n{token}"), base, None);
        let reply = &cluster.roots[1].replies[&token];
        assert!(matches!(reply, Reply::Accepted(_)), "{reply:?}");
    }
    let (newest, _) = cluster.head(&id("d"));
    cluster.edit(0, "d", &add("y"));
    submit(&mut cluster, 1, 7, "z", Base::Exactly(newest.next()), None);
    assert!(matches!(&cluster.roots[1].replies[&7], Reply::Accepted(_)));
    // What nobody made is refused once that is certain.
    submit(&mut cluster, 1, 8, "z", Base::Revision(Revision(99)), None);
    let reply = &cluster.roots[1].replies[&8];
    assert!(matches!(reply, Reply::Refused { code: ErrorCode::UnknownBase, .. }), "{reply:?}");
    submit(&mut cluster, 1, 9, "z", Base::Exactly(Revision(1)), None);
    let reply = &cluster.roots[1].replies[&9];
    assert!(matches!(reply, Reply::Refused { code: ErrorCode::PreconditionFailed, .. }), "{reply:?}");
}

#[test]
fn what_is_read_without_links_is_not_out_of_date_for_ever() {
    let mut cluster = Cluster::new(2);
    cluster.add(0);
    cluster.run();
    cluster.create(0, "d", "{}");
    cluster.roots[1].is_deaf = true;
    let read = |cluster: &mut Cluster, token| {
        cluster.tell_time(1);
        cluster.roots[1].replica.read(Token(token), &id("d"));
        cluster.run();
        match &cluster.roots[1].replies[&token] {
            Reply::Document(view) => view.content.canonical(),
            other => panic!("it was answered by {other:?}"),
        }
    };
    assert_eq!(read(&mut cluster, 1), "{}");
    cluster.edit(0, "d", &add("x"));
    assert_eq!(read(&mut cluster, 2), "{}", "what is in memory was asked about a moment ago");
    cluster.run_for(interval());
    assert_eq!(read(&mut cluster, 3), r#"{"x":1}"#);
    let heads = |cluster: &mut Cluster, token| {
        cluster.tell_time(1);
        cluster.roots[1].replica.heads(Token(token), Sequence(0), 10);
        cluster.run();
        match &cluster.roots[1].replies[&token] {
            Reply::Heads { durable, .. } => *durable,
            other => panic!("it was answered by {other:?}"),
        }
    };
    cluster.edit(0, "d", &add("y"));
    assert_eq!(heads(&mut cluster, 10), Sequence(2));
    cluster.run_for(interval());
    assert_eq!(heads(&mut cluster, 11), Sequence(3), "nor does the feed stand still");
    // A store that fails does not keep from reading.
    cluster.run_for(interval());
    cluster.roots[1].holds = reads;
    cluster.tell_time(1);
    cluster.roots[1].replica.read(Token(4), &id("d"));
    cluster.run();
    assert!(!cluster.roots[1].replies.contains_key(&4));
    cluster.fail_held(1, &StoreError::Unavailable("test".into()));
    cluster.run();
    assert!(cluster.roots[1].replies.contains_key(&4));
}
