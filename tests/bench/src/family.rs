//! What a family of benchmarks answers with.

use crate::plot::Plot;
use crate::table::Table;

/// Tables and plots, in the order in which they are shown.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
}

impl Figures {
    /// Tables alone.
    pub(crate) fn of(tables: Vec<Table>) -> Self {
        Self { tables, plots: Vec::new() }
    }
}
