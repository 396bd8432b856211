//! Likeness: whether one element is an edited form of another.

use crate::{
    Json,
    align::{Work, common_prefix, common_suffix},
};

/// Pairs that are looked at in one gap. Beyond, where hundreds of elements without identity were rewritten between two that
/// stayed, there is nothing to recognise them by in reasonable time.
const MAX_PAIRS: usize = 1_024;

/// Members of an object, or elements of an array, that are compared.
const MAX_PARTS: usize = 32;

/// Length from which texts are compared; shorter ones are alike by chance.
const MIN_TEXT_BYTES: usize = 8;

/// Likeness of equal elements.
const WHOLE: u32 = 100;

/// Likeness from which two elements are forms of one: half of what they have.
const HALF: u32 = WHOLE / 2;

/// Pairs elements of two runs, increasing on both sides, so that the sum of their likenesses is the largest possible.
///
/// `element` gives the element of the first run and that of the second at two indexes.
pub(super) fn alike<'a>(
    first: usize,
    second: usize,
    element: impl Fn(usize, usize) -> (&'a Json, &'a Json),
    work: &mut Work,
) -> Vec<(usize, usize)> {
    let pairs = first.saturating_mul(second);
    // One on either side are paired anyhow.
    if !(2..=MAX_PAIRS).contains(&pairs) || !work.spend((pairs * MAX_PARTS) as u64) {
        return Vec::new();
    }
    let width = second + 1;
    // best[i][j] is the largest sum for the elements from i and from j on.
    let mut best = vec![0_u32; (first + 1) * width];
    let mut likenesses = vec![0_u32; first * second];
    for i in (0..first).rev() {
        for j in (0..second).rev() {
            let (a, b) = element(i, j);
            let likeness = likeness(a, b);
            likenesses[i * second + j] = likeness;
            let paired = if likeness >= HALF { best[(i + 1) * width + j + 1] + likeness } else { 0 };
            best[i * width + j] = paired.max(best[(i + 1) * width + j]).max(best[i * width + j + 1]);
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < first && j < second {
        let sum = best[i * width + j];
        let likeness = likenesses[i * second + j];
        if likeness >= HALF && sum == best[(i + 1) * width + j + 1] + likeness {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if sum == best[(i + 1) * width + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// How much two elements have in common, up to [`WHOLE`].
fn likeness(a: &Json, b: &Json) -> u32 {
    let (common, all) = match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let common = a.iter().take(MAX_PARTS).filter(|(key, value)| b.get(key) == Some(value)).count();
            (common, a.len().min(MAX_PARTS).max(b.len().min(MAX_PARTS)))
        }
        (Json::Array(a), Json::Array(b)) => {
            let common = a.iter().zip(b).take(MAX_PARTS).filter(|(a, b)| a == b).count();
            (common, a.len().min(MAX_PARTS).max(b.len().min(MAX_PARTS)))
        }
        (Json::String(a), Json::String(b)) if a.len().max(b.len()) >= MIN_TEXT_BYTES => {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let prefix = common_prefix(a, b, u8::eq);
            let suffix = common_suffix(&a[prefix..], &b[prefix..], u8::eq);
            (prefix + suffix, a.len().max(b.len()))
        }
        _ => (0, 1),
    };
    let share = common.saturating_mul(WHOLE as usize).checked_div(all).unwrap_or(WHOLE as usize);
    u32::try_from(share).map_or(WHOLE, |share| share.min(WHOLE))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Limits;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn pairs(first: &str, second: &str) -> Vec<(usize, usize)> {
        let [first, second] = [first, second].map(|text| Json::parse(text, &Limits::default()).unwrap());
        let (first, second) = (first.as_array().unwrap(), second.as_array().unwrap());
        alike(
            first.len(),
            second.len(),
            |i, j| (first.get(i).unwrap(), second.get(j).unwrap()),
            &mut Work::new(1 << 20),
        )
    }

    #[test]
    fn an_edited_element_is_found_beside_a_new_one() {
        assert_eq!(
            pairs(r#"[{"title":"a","done":false}]"#, r#"[{"title":"b"},{"title":"a","done":true}]"#),
            [(0, 1)]
        );
        assert_eq!(pairs(r#"["buy milk"]"#, r#"["call Ann","buy milk today"]"#), [(0, 1)]);
        assert_eq!(pairs("[[1,2,3]]", "[[4],[1,2,4]]"), [(0, 1)]);
    }

    #[test]
    fn what_has_less_than_half_in_common_is_not_alike() {
        assert_eq!(pairs(r#"[{"a":1,"b":2,"c":3}]"#, r#"[{"a":1,"b":3,"c":4},{}]"#), []);
        assert_eq!(pairs("[1,2]", "[3,1]"), []);
        assert_eq!(pairs(r#"["a1"]"#, r#"["b1","c1"]"#), []);
    }

    #[test]
    fn pairs_do_not_cross() {
        let [a, b] = [r#"{"t":"first","x":1,"y":1}"#, r#"{"t":"second","x":1,"y":2}"#];
        assert_eq!(pairs(&format!("[{a},{b}]"), &format!("[{b},{a}]")).len(), 1);
    }
}
