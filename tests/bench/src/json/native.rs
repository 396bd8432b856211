//! Rejoin and the crate `json-patch`.

use std::time::Duration;

use anyhow::{Context, Result};
use json_patch::{Patch as PeerPatch, patch_unsafe};
use rejoin_json::{DiffOptions, Json, Limits, Patch, apply, diff};
use serde_json::Value;

use super::cases::Case;
use super::figures::{Figure, Measure};
use crate::measure::per_call;

/// How often a loop is timed, and how long it lasts.
const REPETITIONS: usize = 15;
const SLICE: Duration = Duration::from_millis(20);

/// A loop of which one call takes this long is timed less often.
const LONG_CALL: Duration = Duration::from_millis(500);
const REPETITIONS_OF_LONG_CALLS: usize = 3;

/// What Rejoin does with a case.
pub(super) fn rejoin(case: &Case, measure: Measure) -> Result<Figure> {
    let limits = Limits::default();
    let parse = |value: &Value| Json::parse(&value.to_string(), &limits);
    let (from, to) = (parse(&case.from)?, parse(&case.to)?);
    match measure {
        Measure::InPlace => {
            let Some((forward, back)) = rejoin_patches(case)? else { return Ok(Figure::Absent) };
            let mut document = parse(&case.from)?;
            let mut turn = || {
                let there = apply(&mut document, &forward, &limits);
                (there, apply(&mut document, &back, &limits))
            };
            let (there, again) = turn();
            there.and(again)?;
            let time = median(&mut turn) / 2;
            let is_back = document == from;
            apply(&mut document, &forward, &limits)?;
            Ok(measured(is_back && document == to, time, None))
        }
        Measure::Kept => {
            let Some((forward, _)) = rejoin_patches(case)? else { return Ok(Figure::Absent) };
            let edited = || {
                let mut document = from.clone();
                apply(&mut document, &forward, &limits).map(|()| document)
            };
            let is_right = edited()? == to && from == parse(&case.from)?;
            Ok(measured(is_right, median(edited), None))
        }
        _ if is_in_parts(case) => Ok(Figure::Absent),
        Measure::Apart => difference(&from, &to, &limits),
        Measure::Sharing => {
            let patch = diff(&from, &to, &DiffOptions::default());
            let mut to = from.clone();
            apply(&mut to, &patch, &limits)?;
            difference(&from, &to, &limits)
        }
    }
}

fn difference(from: &Json, to: &Json, limits: &Limits) -> Result<Figure> {
    let options = DiffOptions::default();
    let find = || diff(from, to, &options);
    let patch = find();
    let mut patched = from.clone();
    apply(&mut patched, &patch, limits)?;
    Ok(measured(patched == *to, median(find), Some(patch.to_string().len())))
}

fn rejoin_patches(case: &Case) -> Result<Option<(Patch, Patch)>> {
    let Some(patches) = &case.patches else { return Ok(None) };
    let parse = |value: &Value| Patch::parse(&value.to_string(), &Limits::default());
    Ok(Some((parse(&patches.forward)?, parse(&patches.back)?)))
}

/// What the crate `json-patch` does with a case, in the mode that leaves a half-patched document behind on failure:
/// it is the faster one.
pub(super) fn json_patch(case: &Case, measure: Measure) -> Result<Figure> {
    let (from, to) = (&case.from, &case.to);
    let standard = case.patches.as_ref().filter(|_| !is_in_parts(case));
    let patches = standard.map(|patches| {
        let parse = |value: &Value| serde_json::from_value::<PeerPatch>(value.clone());
        Ok::<_, serde_json::Error>((parse(&patches.forward)?, parse(&patches.back)?))
    });
    match (measure, patches.transpose()?) {
        (Measure::InPlace, Some((forward, back))) => {
            let mut document = from.clone();
            let mut turn = || {
                let there = patch_unsafe(&mut document, &forward);
                (there, patch_unsafe(&mut document, &back))
            };
            let (there, again) = turn();
            there.and(again)?;
            let time = median(&mut turn) / 2;
            let is_back = document == *from;
            patch_unsafe(&mut document, &forward)?;
            Ok(measured(is_back && document == *to, time, None))
        }
        (Measure::Kept, Some((forward, _))) => {
            let edited = || {
                let mut document = from.clone();
                patch_unsafe(&mut document, &forward).map(|()| document)
            };
            Ok(measured(edited()? == *to, median(edited), None))
        }
        (Measure::Apart, _) if !is_in_parts(case) => {
            let find = || json_patch::diff(from, to);
            let patch = find();
            let mut patched = from.clone();
            patch_unsafe(&mut patched, &patch).context("json-patch finds a patch that does not apply")?;
            let bytes = serde_json::to_string(&patch)?.len();
            Ok(measured(patched == *to, median(find), Some(bytes)))
        }
        _ => Ok(Figure::Absent),
    }
}

fn is_in_parts(case: &Case) -> bool {
    case.patches.as_ref().is_some_and(|patches| patches.in_parts)
}

fn measured(is_right: bool, time: Duration, bytes: Option<usize>) -> Figure {
    if is_right { Figure::Measured { time, bytes } } else { Figure::Wrong }
}

fn median<R>(mut call: impl FnMut() -> R) -> Duration {
    let first = per_call(1, Duration::ZERO, &mut call).median();
    let repetitions = if first > LONG_CALL { REPETITIONS_OF_LONG_CALLS } else { REPETITIONS };
    per_call(repetitions, SLICE, call).median()
}
