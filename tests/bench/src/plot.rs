//! Plots as SVG: lines over a logarithmic scale, or bars. They are read on light and dark pages, so they bring their own ground.

use std::fmt::Write;
use std::time::Duration;

use crate::measure::duration;

/// Colours that people tell apart who see few (Okabe and Ito), the first for what others are held against.
const COLOURS: [&str; 7] = ["#7d838c", "#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00"];

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 16.0;
const TITLE: f64 = 28.0;
const LEGEND_ROW: f64 = 20.0;

/// The width of a character of 12 pixels, on average and a little more.
const CHARACTER: f64 = 6.8;

/// A plot, as one file.
pub(crate) struct Plot {
    /// The file's name, without its ending.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// Names of the series, in the order of their colours.
    pub(crate) series: Vec<String>,
    pub(crate) panels: Vec<Panel>,
}

/// One part of a plot.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) kind: Kind,
}

/// How figures are shown.
pub(crate) enum Kind {
    /// Points at places on the x axis, both axes logarithmic, for each series; a series may lack some.
    Lines { x: &'static str, points: Vec<Vec<(f64, f64)>> },
    /// One bar a series from zero on; `None` leaves it out. A figure is written as the text beside it.
    Bars(Vec<Option<(f64, String)>>),
}

impl Plot {
    /// Bars alone: panels by their titles, each with a time for every series.
    pub(crate) fn of_times(
        name: &'static str,
        title: impl Into<String>,
        series: impl IntoIterator<Item = impl Into<String>>,
        panels: impl IntoIterator<Item = (String, Vec<Option<Duration>>)>,
    ) -> Self {
        let bar = |time: Option<Duration>| time.map(|time| (time.as_secs_f64(), duration(time)));
        let panel = |(title, times): (String, Vec<Option<Duration>>)| Panel {
            title,
            kind: Kind::Bars(times.into_iter().map(bar).collect()),
        };
        let series = series.into_iter().map(Into::into).collect();
        Self { name, title: title.into(), series, panels: panels.into_iter().map(panel).collect() }
    }

    /// The file.
    pub(crate) fn svg(&self) -> String {
        let mut out = String::new();
        let mut y = MARGIN;
        text(&mut out, MARGIN, y + 14.0, "start", 15.0, "600", &self.title);
        y += TITLE;
        let has_lines = self.panels.iter().any(|panel| matches!(panel.kind, Kind::Lines { .. }));
        if has_lines {
            y = self.legend(&mut out, y);
            let width = (WIDTH - MARGIN) / self.panels.len() as f64 - MARGIN;
            for (at, panel) in self.panels.iter().enumerate() {
                let x = MARGIN + at as f64 * (width + MARGIN);
                if let Kind::Lines { x: label, points } = &panel.kind {
                    lines(&mut out, (x, y, width, 300.0), &panel.title, label, points);
                }
            }
            y += 300.0;
        } else {
            for panel in &self.panels {
                if let Kind::Bars(bars) = &panel.kind {
                    y = self.bars(&mut out, y, &panel.title, bars);
                }
            }
        }
        let height = y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n{out}</svg>\n",
            escaped(&self.title)
        )
    }

    fn legend(&self, out: &mut String, y: f64) -> f64 {
        let (mut x, mut y) = (MARGIN, y);
        for (name, colour) in self.series.iter().zip(COLOURS) {
            let width = 26.0 + name.chars().count() as f64 * CHARACTER;
            if x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + LEGEND_ROW);
            }
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{colour}\"/>"
            );
            text(out, x + 17.0, y + 10.5, "start", 12.0, "400", name);
            x += width;
        }
        y + LEGEND_ROW + 8.0
    }

    fn bars(&self, out: &mut String, y: f64, title: &str, bars: &[Option<(f64, String)>]) -> f64 {
        const FIGURES: f64 = 130.0;
        const ROW: f64 = 22.0;
        let longest = self.series.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let names = (longest as f64 * CHARACTER + 8.0).max(210.0);
        let mut y = y + 6.0;
        text(out, MARGIN, y + 10.0, "start", 12.5, "600", title);
        y += 18.0;
        let most = bars.iter().flatten().map(|(value, _)| *value).fold(0.0, f64::max);
        for ((bar, name), colour) in bars.iter().zip(&self.series).zip(COLOURS) {
            let Some((value, label)) = bar else { continue };
            let whole = WIDTH - 2.0 * MARGIN - names - FIGURES;
            let width = if most > 0.0 { (whole * value / most).max(1.0) } else { 1.0 };
            text(out, MARGIN + names - 8.0, y + 13.0, "end", 12.0, "400", name);
            let x = MARGIN + names;
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"15\" rx=\"2\" fill=\"{colour}\"/>",
                y + 2.0
            );
            text(out, x + width + 6.0, y + 13.5, "start", 12.0, "400", label);
            y += ROW;
        }
        y + 6.0
    }
}

/// Lines in a frame, given by its place and size.
fn lines(
    out: &mut String,
    (left, top, width, height): (f64, f64, f64, f64),
    title: &str,
    label: &str,
    points: &[Vec<(f64, f64)>],
) {
    let (x0, y0) = (left + 44.0, top + height - 40.0);
    let (x1, y1) = (left + width - 8.0, top + 26.0);
    text(out, left, top + 12.0, "start", 12.5, "600", title);
    let all = || points.iter().flatten();
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let low = all().map(of).fold(f64::INFINITY, f64::min);
        let high = all().map(of).fold(f64::MIN_POSITIVE, f64::max);
        (low * 0.8, high * 1.25)
    };
    if all().next().is_none() {
        return;
    }
    let (x_range, y_range) = (bounds(|point| point.0), bounds(|point| point.1));
    let place = |value: f64, (low, high): (f64, f64)| (value / low).ln() / (high / low).ln();
    let x = |value: f64| x0 + place(value, x_range) * (x1 - x0);
    let y = |value: f64| y0 + place(value, y_range) * (y1 - y0);
    for tick in ticks(y_range) {
        let at = y(tick);
        let _ = writeln!(
            out,
            "<line x1=\"{x0:.1}\" x2=\"{x1:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e4e6ea\"/>"
        );
        text(out, x0 - 6.0, at + 4.0, "end", 11.0, "400", &figure(tick));
    }
    let mut places: Vec<f64> = all().map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for tick in places {
        text(out, x(tick), y0 + 16.0, "middle", 11.0, "400", &figure(tick));
    }
    text(out, f64::midpoint(x0, x1), y0 + 34.0, "middle", 11.5, "400", label);
    let _ = writeln!(
        out,
        "<line x1=\"{x0:.1}\" x2=\"{x1:.1}\" y1=\"{y0:.1}\" y2=\"{y0:.1}\" stroke=\"#8a8f98\"/>"
    );
    for (series, colour) in points.iter().zip(COLOURS) {
        let path: Vec<String> =
            series.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>",
            path.join(" ")
        );
        for point in series {
            let (x, y) = (x(point.0), y(point.1));
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
    }
}

/// Round figures between two: 1, 2 and 5 of each power of ten, or the powers alone where those are many.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let steps: &[f64] = if high / low > 2_000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    (-9..=12)
        .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

fn figure(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, size: f64, weight: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"#24292f\">{words}</text>"
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_lies_inside() {
        let points = vec![vec![(2.0, 4.0), (20.0, 40.0)], vec![(2.0, 100.0)]];
        let lines = Plot {
            name: "a",
            title: "A < B".into(),
            series: vec!["one".into(), "two".into()],
            panels: vec![Panel { title: "left".into(), kind: Kind::Lines { x: "readers", points } }],
        };
        let svg = lines.svg();
        assert!(svg.contains("A &lt; B") && svg.matches("<circle").count() == 3);
        let bars = vec![Some((2.0, "2 KiB".to_owned())), None];
        let bars = Plot { panels: vec![Panel { title: "all".into(), kind: Kind::Bars(bars) }], ..lines };
        let svg = bars.svg();
        assert!(svg.contains("2 KiB") && svg.contains("one") && !svg.contains("two"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.9, 12.0)), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(ticks((1.0, 10_000.0)), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    }
}
