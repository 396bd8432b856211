//! Steps that a person waits for: a spinner with the elapsed time on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// One step under way.
pub(crate) struct Step {
    label: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    /// Announces a step that prints nothing by itself.
    pub(crate) fn quiet(label: impl Into<String>) -> Self {
        let label = label.into();
        let spinner = stderr().is_terminal().then(|| spin(&label));
        if spinner.is_none() {
            eprintln!("▸ {label}");
        }
        Self { label, started: Instant::now(), spinner }
    }

    /// Announces a step whose own output is the progress, as cargo's is.
    pub(crate) fn visible(label: impl Into<String>) -> Self {
        let label = label.into();
        eprintln!("▸ {label}");
        Self { label, started: Instant::now(), spinner: None }
    }

    /// Says that the step is done, and how long it took.
    pub(crate) fn done(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        eprintln!("✓ {} {seconds:.1} s", self.label);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // A step that failed leaves no spinner behind; the error says the rest.
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Runs a command under a spinner; its output is shown only when it fails.
pub(crate) fn run_quietly(label: &str, command: &mut Command) -> Result<()> {
    let step = Step::quiet(label);
    let output = command.output().with_context(|| format!("{} did not start", program(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}):\n{}{}",
            program(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    step.done();
    Ok(())
}

/// Runs a command whose output goes straight to the terminal.
pub(crate) fn run_visibly(label: &str, command: &mut Command) -> Result<()> {
    let step = Step::visible(label);
    let status = command.status().with_context(|| format!("{} did not start", program(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", program(command));
    }
    step.done();
    Ok(())
}

/// The name of a command's program, for messages.
pub(crate) fn program(command: &Command) -> String {
    std::path::Path::new(command.get_program())
        .file_name()
        .map_or_else(|| "the program".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn spin(label: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(label.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(TICK);
    spinner
}
