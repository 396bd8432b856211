//! Patches: applying and finding them.

mod cases;
mod documents;
mod figures;
pub(crate) mod merge;
mod native;
mod node;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::family::Figures;
use crate::plot::Plot;
use crate::table::Table;
use crate::{lock, npm};
use cases::Case;
use figures::{Figure, Measure};
use node::{LIBRARIES, Peers};

/// The size whose cases are plotted; tables have the others.
pub(crate) const PLOTTED: &str = "100 KB";

/// Figures of one case: by measure, then by library in the order of the columns.
type Row = BTreeMap<Measure, Vec<Figure>>;

/// Measures every case with every library.
pub(crate) fn run() -> Result<Figures> {
    let peers = Peers::install()?;
    let mut rows = Vec::new();
    for case in cases::all()? {
        eprintln!("{}: {}", case.size, case.edit);
        let row = measure(&case, &peers)?;
        rows.push((case, row));
    }
    let columns = columns()?;
    let mut tables: Vec<Table> = Measure::ALL.map(|measure| times(measure, &columns, &rows)).into();
    tables.push(bytes(&columns, &rows));
    let plots = [(Measure::InPlace, "patch"), (Measure::Apart, "diff")];
    let plots = plots.map(|(measure, name)| plot(measure, name, &rows)).into();
    Ok(Figures { tables, plots, ..Figures::default() })
}

/// The cases of one size with every library.
fn plot(measure: Measure, name: &'static str, rows: &[(Case, Row)]) -> Plot {
    let shown = rows.iter().filter(|(case, row)| case.size == PLOTTED && !is_absent(&row[&measure]));
    let panels =
        shown.map(|(case, row)| (case.edit.to_owned(), row[&measure].iter().map(Figure::time).collect()));
    let series = ["rejoin-json", "json-patch"].into_iter().chain(LIBRARIES);
    Plot::of_times(name, format!("{}, {PLOTTED}", measure.title()), series, panels)
}

fn measure(case: &Case, peers: &Peers) -> Result<Row> {
    let mut row = Row::new();
    for measure in Measure::ALL {
        row.insert(measure, vec![native::rejoin(case, measure)?, native::json_patch(case, measure)?]);
    }
    let path = peers.hand_over(case)?;
    for library in LIBRARIES {
        for (measure, figure) in peers.run(library, &path)? {
            row.entry(measure).or_default().push(figure);
        }
    }
    Ok(row)
}

/// The heads of all tables: the libraries with the versions that are measured.
fn columns() -> Result<Vec<String>> {
    let own = ["case".to_owned(), "rejoin-json".to_owned(), lock::named("json-patch")?];
    own.into_iter().map(Ok).chain(LIBRARIES.map(npm::named)).collect()
}

fn times(measure: Measure, columns: &[String], rows: &[(Case, Row)]) -> Table {
    let mut table = Table::of(measure.title(), columns.to_vec());
    for (case, row) in rows {
        let figures = &row[&measure];
        if is_absent(figures) {
            continue;
        }
        let fastest = figures.iter().filter_map(Figure::time).min();
        let cells = figures.iter().map(|figure| match figure.time() {
            time if time.is_some() && time == fastest => format!("**{}**", figure.time_cell()),
            _ => figure.time_cell(),
        });
        table.row([name(case)].into_iter().chain(cells));
    }
    table
}

/// Lengths of the patches between documents parsed apart.
fn bytes(columns: &[String], rows: &[(Case, Row)]) -> Table {
    let mut table = Table::of("Bytes of the patch that was found", columns.to_vec());
    for (case, row) in rows {
        let figures = &row[&Measure::Apart];
        if is_absent(figures) {
            continue;
        }
        let cells = figures.iter().map(Figure::bytes_cell);
        table.row([name(case)].into_iter().chain(cells));
    }
    table
}

fn is_absent(figures: &[Figure]) -> bool {
    figures.iter().all(|figure| matches!(figure, Figure::Absent))
}

fn name(case: &Case) -> String {
    format!("{}: {}", case.size, case.edit)
}
