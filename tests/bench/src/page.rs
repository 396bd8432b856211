//! docs/benchmarks.md: what is between the markers of a group is written by the benchmarks, the rest by people.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::family::Figures;
use crate::plot::Plot;
use crate::table::Table;

/// What stands between the markers of a group.
pub(crate) fn section(group: &str, machine: &str, figures: &Figures) -> String {
    let mut text = format!("`cargo xtask bench {group} --write` on {machine}.\n");
    for plot in &figures.plots {
        let _ = write!(text, "\n![{}](plots/{}.svg)\n", plot.title, plot.name);
    }
    for table in goals(figures).iter().chain(&figures.tables) {
        text.push('\n');
        text.push_str(&table.to_string());
    }
    text
}

/// What was to be reached, where anything was.
fn goals(figures: &Figures) -> Option<Table> {
    let mut table = Table::new("What was to be reached", ["what", "goal", "measured", ""]);
    for goal in &figures.goals {
        table.row(goal.cells());
    }
    (!figures.goals.is_empty()).then_some(table)
}

/// Puts a section into the page, and its plots beside it.
pub(crate) fn write(group: &str, section: &str, plots: &[Plot]) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let path = docs.join("benchmarks.md");
    let page = std::fs::read_to_string(&path).context("docs/benchmarks.md cannot be read")?;
    let page = replaced(&page, group, section)
        .with_context(|| format!("docs/benchmarks.md has no markers for {group}"))?;
    std::fs::write(&path, page).context("docs/benchmarks.md cannot be written")?;
    let folder = docs.join("plots");
    std::fs::create_dir_all(&folder).context("docs/plots cannot be made")?;
    for plot in plots {
        let path = folder.join(format!("{}.svg", plot.name));
        std::fs::write(&path, plot.svg()).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// The page with another text between the markers of a group; `None` without markers.
fn replaced(page: &str, group: &str, section: &str) -> Option<String> {
    let begin = format!("<!-- {group}: begin -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&format!("<!-- {group}: end -->"))?;
    Some(format!("{before}{begin}\n{section}\n<!-- {group}: end -->{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_of_the_group_is_replaced() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\ny\n<!-- y: end -->\n";
        let expected =
            "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n<!-- y: begin -->\ny\n<!-- y: end -->\n";
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(page, "z", "new\n"), None);
    }
}
