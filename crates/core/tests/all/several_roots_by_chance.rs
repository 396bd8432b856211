//! Several authorities over one store, where chance says what happens next.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use crate::support::cluster::Cluster;
use crate::support::{id, json, patch};
use rejoin_core::{Base, Grant, Random, Reply, RequestKey, Seed, Token};
use rejoin_wire::{Body, Revision, Scope, to_bytes};

#[test]
fn all_that_is_drawn_by_chance_ends_equal_everywhere() {
    let mut happened = Happened::default();
    for seed in 1..=16 {
        eprintln!("seed {seed}");
        play(seed, &mut happened);
    }
    // What is never met proves nothing.
    let Happened { conflicts, edits, rejected, requests, .. } = happened;
    assert!(conflicts > 30 && edits > 500 && rejected > 10 && requests > 50, "{happened:?}");
}

/// What the plays have met.
#[derive(Debug, Default)]
struct Happened {
    conflicts: usize,
    commits: usize,
    edits: usize,
    rejected: usize,
    requests: usize,
    restarts: usize,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Edits by everybody, who now and then change to another authority or may not edit for a while; requests of those without a replica, some of
/// which come twice; authorities that hear of others late, twice or never, that end and start; a store that does and answers in any order, and
/// fails. Each change has a value of its own.
fn play(seed: u128, happened: &mut Happened) {
    let mut random = Random::new(Seed(seed << 32));
    let mut draw = |most: usize| usize::try_from(random.up_to(most as u64)).unwrap();
    let mut cluster = Cluster::empty().with_chance(seed);
    let roots = 2 + draw(1);
    for at in 0..roots {
        cluster.add_root(true);
        cluster.roots[at].is_deaf = draw(2) == 0;
    }
    for at in 0..roots + 2 {
        let scope = if at == roots { None } else { Some(Scope::Documents) };
        cluster.add_with(at % roots, scope);
    }
    let list = cluster.add_with(draw(roots - 1), Some(Scope::List));
    cluster.run();
    for name in NAMES {
        cluster.open(name);
    }
    for (below, name) in NAMES.iter().enumerate() {
        let node = below % list;
        cluster.below[node].replica.create(&id(name), json(r#"{"list":[],"x":0}"#)).unwrap();
    }
    cluster.run_for(5_000);
    let mut made: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut requests: Vec<(u64, String, &str)> = Vec::new();
    for action in 0..80 {
        let below = draw(list - 1);
        let at = draw(roots - 1);
        let name = NAMES[draw(2)];
        let value = format!("v{below}-{action}");
        let edit = patch(&format!(
            r#"[{{"op":"add","path":"/list/-","value":{{"id":"{value}"}}}},{{"op":"replace","path":"/x","value":{action}}}]"#
        ));
        match draw(24) {
            0..=11 => {
                if cluster.below[below].replica.edit(&id(name), edit).is_ok() {
                    made.entry(name).or_default().push(value);
                    happened.edits += 1;
                }
            }
            12 | 13 => cluster.move_to(below, at),
            14 => cluster.cut(below),
            15 => cluster.hint(at),
            16 if draw(3) == 0 => {
                cluster.restart_root(at);
                happened.restarts += 1;
            }
            17 => cluster.roots[at].is_deaf ^= true,
            18 => cluster.failures += 1 + u32::try_from(draw(2)).unwrap(),
            19 => {
                let may_edit = draw(2) > 0;
                cluster.allow(below, may_edit);
            }
            20..=22 => {
                let body = Body::Edit { patch: edit, settles: Vec::new(), undoes: None };
                let key = RequestKey::new(&value, &[&to_bytes(&body)]);
                let (grant, token) = (Grant::new("ada", true), action as u64);
                let is_keyed = draw(1) == 0;
                let again = if is_keyed { 1 + draw(1) } else { 1 };
                for _ in 0..again {
                    let root = &mut cluster.roots[draw(roots - 1)].replica;
                    let key = is_keyed.then_some(&key);
                    root.submit(Token(token), grant.clone(), &id(name), body.clone(), Base::Current, key);
                }
                requests.push((token, value, name));
                happened.requests += 1;
            }
            _ => cluster.run_for(draw(300) as u64),
        }
        // Not everything is done before the next thing happens.
        for _ in 0..draw(45) {
            if !cluster.step() {
                break;
            }
        }
    }
    for below in 0..list {
        cluster.allow(below, true);
    }
    cluster.run_for(90_000);
    cluster.assert_numbered();
    let listed = cluster.below[list].replica.list();
    for name in NAMES {
        let document = id(name);
        let (revision, _) = cluster.head(&document);
        let item = listed.iter().find(|item| item.document == document);
        assert_eq!(
            item.map(|item| item.revision),
            (revision > Revision(0)).then_some(revision),
            "seed {seed}"
        );
        if revision == Revision(0) {
            continue;
        }
        let content = cluster.converged_but(name, &[list]);
        let count = |value: &str| content.matches(&format!("\"{value}\"")).count();
        let mut refused: Vec<String> = Vec::new();
        for below in &cluster.below {
            let rejected = below.replica.rejected(&document);
            refused.extend(rejected.iter().map(|rejected| format!("{:?}", rejected.change.body)));
        }
        happened.rejected += refused.len();
        for value in made.get(name).into_iter().flatten() {
            let kept = refused.iter().any(|body| body.contains(&format!("\"{value}\"")));
            assert_eq!(
                count(value),
                usize::from(!kept),
                "seed {seed}: {value} in {content}, rejected {refused:?}"
            );
        }
        for (token, value, _) in requests.iter().filter(|(_, _, of)| *of == name) {
            let replies = cluster.roots.iter().filter_map(|root| root.replies.get(token));
            let accepted = replies.filter(|reply| matches!(reply, Reply::Accepted(_))).count();
            assert!(
                count(value) <= 1 && (accepted == 0 || count(value) == 1),
                "seed {seed}: {value} in {content}"
            );
        }
    }
    // Whoever starts now reads the same.
    cluster.restart_root(0);
    cluster.run_for(60_000);
    for name in NAMES {
        cluster.converged_but(name, &[list]);
    }
    for below in 0..cluster.below.len() {
        assert!(!cluster.was_forked(below), "seed {seed}");
    }
    happened.conflicts += cluster.roots.iter().map(|root| root.conflicts).sum::<usize>();
    happened.commits += cluster.roots.iter().map(|root| root.commits).sum::<usize>();
}
