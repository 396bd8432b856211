//! What a family of benchmarks answers with.

use crate::plot::Plot;
use crate::table::Table;

/// Tables and plots, in the order in which they are shown.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) goals: Vec<Goal>,
}

/// What a figure should be, and what it is. Nothing fails because of it: the page says whether it is met.
pub(crate) struct Goal {
    what: String,
    is: f64,
    bound: f64,
    unit: &'static str,
    is_met: bool,
    /// What must be known with whether it is met.
    provided: String,
}

impl Goal {
    /// A figure that should not be larger.
    pub(crate) fn at_most(what: impl Into<String>, is: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), is, bound, unit, is_met: is <= bound, provided: String::new() }
    }

    /// A figure that should not be smaller.
    pub(crate) fn at_least(what: impl Into<String>, is: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), is, bound, unit, is_met: is >= bound, provided: String::new() }
    }

    /// Says with whether it is met under which conditions that was found.
    pub(crate) fn provided(self, words: impl Into<String>) -> Self {
        Self { provided: words.into(), ..self }
    }

    /// A row: what is wanted, what it should be, what it is, whether that is so.
    pub(crate) fn cells(&self) -> [String; 4] {
        let Self { what, is, bound, unit, is_met, provided } = self;
        let met = if *is_met { "met" } else { "not met" };
        let met = format!("{met} {provided}").trim_end().to_owned();
        [what.clone(), format!("{bound} {unit}"), format!("{is:.2} {unit}"), met]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_bound() {
        assert_eq!(Goal::at_most("a", 1.5, 1.5, "×").cells(), ["a", "1.5 ×", "1.50 ×", "met"]);
        assert_eq!(Goal::at_most("a", 1.51, 1.5, "×").cells()[3], "not met");
        assert_eq!(Goal::at_least("a", 4.0, 4.0, "×").cells()[3], "met");
        assert_eq!(Goal::at_least("a", 3.99, 4.0, "×").cells()[3], "not met");
        let slow = Goal::at_most("a", 1.0, 1.5, "×").provided("at 5 a second");
        assert_eq!(slow.cells()[3], "met at 5 a second");
    }
}
