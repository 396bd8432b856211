//! Files are short, finished and tied to no machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// A file of one concept fits on a few screens; past this many lines it holds several.
const MAX_LINES: usize = 700;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Beginnings of absolute paths of one person's machine.
const MACHINE_PATHS: &[&str] = &["/root/", "/home/", "/work/"];

/// Words that mark unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "unimplemented"];

/// Files that name what is looked for, because they forbid it.
const FORBIDDING: &[&str] = &["Cargo.toml", "crates/xtask/src/checks/files.rs"];

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in tracked(&workspace.root)? {
        // A file that is deleted and not yet committed, or is not text, holds nothing to check.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(&path)) else { continue };
        findings.extend(faults(&path, &text).into_iter().map(|fault| format!("{path}: {fault}")));
    }
    Ok(findings)
}

/// Every file of the repository that is not ignored, with `/` between folders.
pub(super) fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git did not start")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let list = String::from_utf8(output.stdout)?;
    Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if path.ends_with(".rs") && !LONG_FILES.iter().any(|(name, _)| *name == path) {
        faults.extend(too_long(text));
    }
    if path.ends_with("package-lock.json") {
        faults.extend(download_addresses(text));
    }
    if !FORBIDDING.contains(&path) {
        faults.extend(text.lines().enumerate().flat_map(|(index, line)| {
            let word = UNFINISHED.iter().find(|word| holds_word(line, word));
            let machine = MACHINE_PATHS.iter().find(|start| holds_path(line, start));
            let number = index + 1;
            [
                word.map(|word| format!("line {number} says {word}")),
                machine.map(|start| format!("line {number} names a path below {start}")),
            ]
            .into_iter()
            .flatten()
        }));
    }
    faults
}

fn too_long(text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES)
        .then(|| format!("{lines} lines, more than {MAX_LINES}: it holds more than one concept"))
}

/// Lock files that name hosts tie everybody to one registry, or to one machine's mirror of it.
fn download_addresses(text: &str) -> Vec<String> {
    let Ok(lock) = serde_json::from_str::<Value>(text) else { return vec!["it is not JSON".to_owned()] };
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .filter(|(_, package)| package["resolved"].as_str().is_some_and(|address| address.contains("://")))
        .map(|(name, _)| {
            format!("{name} names a download address: npm install --omit-lockfile-registry-resolved")
        })
        .collect()
}

/// Whether the word stands in the line as a whole: `mastodon` is no hit for `todo`.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether an absolute path begins in the line: `docs/home/` is none.
fn holds_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(|before| is_word(before) || "./-~}".contains(before))
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        "//\n".repeat(count)
    }

    #[test]
    fn a_source_file_may_have_as_many_lines_as_the_limit_and_no_more() {
        assert_eq!(faults("crates/a/src/lib.rs", &lines(MAX_LINES)), Vec::<String>::new());
        assert_eq!(faults("crates/a/src/lib.rs", &lines(MAX_LINES + 1)).len(), 1);
        assert_eq!(faults("docs/long.md", &lines(MAX_LINES + 1)), Vec::<String>::new());
    }

    #[test]
    fn unfinished_work_is_found_in_any_file() {
        for word in UNFINISHED {
            assert_eq!(faults("docs/a.md", &format!("first\n<!-- {word}: later -->\n")).len(), 1, "{word}");
            assert_eq!(faults("crates/a/src/lib.rs", &format!("    {word}!()\n")).len(), 1, "{word}");
        }
    }

    #[test]
    fn a_word_inside_another_word_is_not_unfinished_work() {
        for word in UNFINISHED {
            assert_eq!(faults("docs/a.md", &format!("x{word} {word}s _{word}\n")), Vec::<String>::new());
        }
        assert_eq!(faults("docs/a.md", "a todo list in the demo\n"), Vec::<String>::new());
    }

    #[test]
    fn absolute_paths_of_a_machine_are_found() {
        for start in MACHINE_PATHS {
            assert_eq!(faults("tests/a.sh", &format!("cd {start}someone\n")).len(), 1, "{start}");
            assert_eq!(faults("tests/a.json", &format!("\"{start}x\"\n")).len(), 1, "{start}");
        }
    }

    #[test]
    fn relative_paths_and_addresses_are_not_paths_of_a_machine() {
        for start in MACHINE_PATHS {
            assert_eq!(
                faults("docs/a.md", &format!("docs{start}x, ..{start}x, https://rejoin.example{start}\n")),
                Vec::<String>::new()
            );
        }
    }

    #[test]
    fn a_lock_file_with_download_addresses_is_found() {
        let with = r#"{"packages": {"": {}, "node_modules/a": {"resolved": "https://host/a.tgz"}}}"#;
        let without = r#"{"packages": {"": {}, "node_modules/a": {}, "node_modules/own": {"resolved": "own", "link": true}}}"#;
        assert_eq!(faults("npm/package-lock.json", with).len(), 1);
        assert_eq!(faults("npm/package-lock.json", without), Vec::<String>::new());
        assert_eq!(faults("npm/package-lock.json", "<<<<<<<").len(), 1);
    }
}
