//! Plots as SVG.

/// To be drawn.
pub(crate) struct Plot;
