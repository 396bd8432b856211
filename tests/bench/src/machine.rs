//! What the figures were measured on.

use std::process::Command;

use crate::cores;

/// The machine in one line: processors, their model, and the versions of the compiler and of Node.js.
pub(crate) fn describe() -> String {
    let count = cores::count();
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    let mut parts = vec![match model {
        Some(model) => format!("{count} × {model}"),
        None => format!("{count} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH),
    }];
    parts.push(cores::describe().to_owned());
    parts.extend(version("rustc"));
    parts.extend(version("node").map(|version| format!("node {version}")));
    parts.join(", ")
}

/// The model that Linux names.
fn processor(information: &str) -> Option<String> {
    let line = information.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // The date and the hash of a compiler say nothing more.
    Some(text.trim().split(" (").next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_the_first_that_is_listed() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(processor(text).as_deref(), Some("AMD EPYC"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
