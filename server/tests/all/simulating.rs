//! What `rejoin sim` says and leaves behind, and how it ends.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Few lines: the program under test is not optimised.
const STEPS: &str = "40";

fn sim(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejoin"));
    command.arg("sim").args(arguments).current_dir(folder).output().unwrap()
}

fn last_line(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap().lines().last().unwrap_or_default()
}

/// The events of a trace, without what is said before and behind them, which has how long it took.
fn events(output: &Output) -> Vec<&str> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().filter(|line| line.contains(" ms  ")).collect()
}

fn first_line_of(path: &Path) -> Value {
    serde_json::from_str(std::fs::read_to_string(path).unwrap().lines().next().unwrap()).unwrap()
}

#[test]
fn a_broken_claim_ends_it_with_the_seed_last_and_a_plan_that_breaks_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let planted = ["--plant", "add-value", "--seed", "1", "--seeds", "3", "--steps", STEPS, "--threads", "1"];
    let found = sim(folder.path(), &planted);
    assert_eq!((found.status.code(), last_line(&found)), (Some(1), "seed 1"), "{found:?}");
    let kept = folder.path().join("violation-1.jsonl");
    let first = first_line_of(&kept);
    assert_eq!(first["plant"], "add-value");
    assert!(first["why"].as_str().unwrap().starts_with("NoPhantom"), "{first}");
    let again = sim(folder.path(), &["--replay", "violation-1.jsonl"]);
    assert_eq!((again.status.code(), last_line(&again)), (Some(1), "violation-1.jsonl"), "{again:?}");
}

#[test]
fn a_plan_is_saved_and_is_the_same_world_when_it_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let saved = sim(folder.path(), &["--seed", "7", "--steps", STEPS, "--save", "plan.jsonl", "--trace"]);
    assert_eq!(saved.status.code(), Some(0), "{saved:?}");
    let again = sim(folder.path(), &["--replay", "plan.jsonl", "--trace"]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let (saved, again) = (events(&saved), events(&again));
    assert!(saved.len() > 100, "{} events", saved.len());
    assert_eq!(saved, again);
}

#[test]
fn a_process_may_end_at_every_effect_and_the_plan_of_a_violation_says_at_which() {
    let folder = tempfile::tempdir().unwrap();
    let plain = sim(folder.path(), &["--seed", "2", "--steps", "2", "--every-effect", "--once"]);
    assert_eq!(plain.status.code(), Some(0), "{plain:?}");
    let report = String::from_utf8_lossy(&plain.stdout);
    let worlds: u32 =
        report.lines().find_map(|line| line.split_once(" worlds")?.0.trim().parse().ok()).unwrap();
    assert!(worlds > 10, "{report}");
    let plan = sim(folder.path(), &["--seed", "2", "--steps", "2", "--save", "plan.jsonl", "--once"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    let text = std::fs::read_to_string(folder.path().join("plan.jsonl")).unwrap();
    let ended = text.replacen("\"surroundings\"", "\"ends_at\":3,\"surroundings\"", 1);
    std::fs::write(folder.path().join("ended.jsonl"), ended).unwrap();
    let [plan, ended] = ["plan.jsonl", "ended.jsonl"]
        .map(|file| sim(folder.path(), &["--replay", file, "--once", "--trace"]));
    assert_eq!((plan.status.code(), ended.status.code()), (Some(0), Some(0)), "{ended:?}");
    assert_ne!(events(&plan), events(&ended));
}

#[test]
fn own_documents_and_policies_are_simulated_with() {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(
        documents.join("recipe.json"),
        json!({"title": "bread", "likes": 3, "steps": []}).to_string(),
    )
    .unwrap();
    let policies = json!({"*": {"policy": "manual"}, "recipe": {"policy": "latest", "counters": ["/likes"]}});
    std::fs::write(folder.path().join("policies.json"), policies.to_string()).unwrap();
    let own = ["--documents", "documents", "--policies", "policies.json", "--seed", "3", "--steps", STEPS];
    let played = sim(folder.path(), &[&own[..], &["--save", "plan.jsonl"]].concat());
    assert_eq!(played.status.code(), Some(0), "{played:?}");
    let first = first_line_of(&folder.path().join("plan.jsonl"));
    assert_eq!(first["contents"][0]["document"], "recipe", "{first}");
    assert_eq!(first["contents"][0]["header"]["policy"], "latest", "{first}");
    let missing = sim(folder.path(), &["--documents", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere"), "{missing:?}");
}
