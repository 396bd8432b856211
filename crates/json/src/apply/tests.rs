#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const LIMITS: Limits = Limits { max_depth: 8, max_copied_bytes: 20, max_document_bytes: 64, ..UNLIMITED };

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn patch(text: &str) -> Patch {
    Patch::parse(text, &Limits::default()).unwrap()
}

/// Applies in place and to a shared document, checks the way back, and returns the text of the result.
fn applied(document: &str, operations: &str) -> Result<String, PatchError> {
    applied_within(document, operations, &LIMITS)
}

fn applied_within(document: &str, operations: &str, limits: &Limits) -> Result<String, PatchError> {
    let before = json(document);
    let patch = patch(operations);
    let mut unique = json(document);
    let result = apply(&mut unique, &patch, limits);
    let mut shared = before.clone();
    assert_eq!(apply(&mut shared, &patch, limits), result);
    assert_eq!(unique, shared);
    assert_eq!(unique.encoded_len(), unique.canonical().len());
    match result {
        Ok(()) => {
            let mut inverted = json(document);
            let back = apply_inverting(&mut inverted, &patch, limits)?;
            assert_eq!(inverted, unique);
            apply(&mut inverted, &back, &UNLIMITED).unwrap();
            assert_eq!(inverted.canonical(), before.canonical(), "{back}");
            Ok(unique.canonical())
        }
        Err(error) => {
            assert_eq!(unique, before);
            assert!(shared.ptr_eq(&before), "a failed patch copies nothing");
            Err(error)
        }
    }
}

fn message(document: &str, operations: &str) -> String {
    applied(document, operations).unwrap_err().to_string()
}

#[test]
fn what_is_beside_the_path_stays_shared_and_what_is_unique_stays_in_place() {
    let before = json(r#"{"a":{"b":[1,2]},"c":{"d":[3]}}"#);
    let mut after = before.clone();
    apply(&mut after, &patch(r#"[{"op":"replace","path":"/a/b/0","value":0}]"#), &LIMITS).unwrap();
    assert_eq!(before.canonical(), r#"{"a":{"b":[1,2]},"c":{"d":[3]}}"#);
    assert!(after.get("c").unwrap().ptr_eq(before.get("c").unwrap()));
    drop(before);
    let first = |json: &Json| {
        std::ptr::from_ref(json.get("a").unwrap().get("b").unwrap().as_array().unwrap().get(0).unwrap())
    };
    let witness = first(&after);
    apply(&mut after, &patch(r#"[{"op":"replace","path":"/a/b/1","value":1}]"#), &LIMITS).unwrap();
    assert!(std::ptr::eq(first(&after), witness));
}

#[test]
fn a_failed_operation_leaves_the_document_untouched() {
    // Every operation once before one that fails, on a document that nobody shares.
    let error = applied(
        r#"{"a":[0,1,2],"b":{"c":"text"},"d":1}"#,
        r#"[
            {"op":"add","path":"/a/-","value":9}, {"op":"add","path":"/d","value":2},
            {"op":"remove","path":"/a/0"}, {"op":"replace","path":"/a/0","value":[]},
            {"op":"move","from":"/b/c","path":"/b"}, {"op":"move","from":"/a/2","path":"/a/0"},
            {"op":"copy","from":"/a","path":"/a/-"}, {"op":"splice","path":"/b","at":0,"remove":2,"insert":"s"},
            {"op":"move","from":"/a","path":"/d"}, {"op":"test","path":"/d","value":[]}
        ]"#,
    );
    assert_eq!(error.unwrap_err().kind, PatchErrorKind::TestFailed);
}

#[test]
fn a_value_can_take_the_place_of_what_it_is_in() {
    assert_eq!(
        applied(r#"{"a":{"b":{"c":1},"x":2}}"#, r#"[{"op":"move","from":"/a/b","path":"/a"}]"#).unwrap(),
        r#"{"a":{"c":1}}"#
    );
    assert_eq!(
        applied(r#"{"a":{"b":1},"x":2}"#, r#"[{"op":"move","from":"/a","path":""}]"#).unwrap(),
        r#"{"b":1}"#
    );
    // In an array the value goes before what it was in.
    assert_eq!(
        applied(r#"[{"b":1,"x":2}]"#, r#"[{"op":"move","from":"/0/b","path":"/0"}]"#).unwrap(),
        r#"[1,{"x":2}]"#
    );
}

#[test]
fn a_value_moves_within_its_array() {
    for (from, path, expected) in [
        ("/0", "/2", "[1,2,0,3]"),
        ("/3", "/0", "[3,0,1,2]"),
        ("/1", "/1", "[0,1,2,3]"),
        ("/0", "/-", "[1,2,3,0]"),
        ("/0", "/3", "[1,2,3,0]"),
    ] {
        let operations = format!(r#"[{{"op":"move","from":"{from}","path":"{path}"}}]"#);
        assert_eq!(applied("[0,1,2,3]", &operations).unwrap(), expected, "{from} {path}");
    }
    assert_eq!(
        message("[0,1,2,3]", r#"[{"op":"move","from":"/0","path":"/4"}]"#),
        "operation 0 (move at \"/4\"): the array at \"\" has 3 elements and none at index 4: use a smaller index, or \"-\" to add at its end"
    );
}

#[test]
fn a_value_moves_between_containers_and_back() {
    assert_eq!(
        applied(r#"{"a":[1,2],"b":{}}"#, r#"[{"op":"move","from":"/a/0","path":"/b/c"}]"#).unwrap(),
        r#"{"a":[2],"b":{"c":1}}"#
    );
    assert_eq!(
        applied(r#"{"a":[1,2],"b":[3]}"#, r#"[{"op":"move","from":"/a/1","path":"/b/-"}]"#).unwrap(),
        r#"{"a":[1],"b":[3,2]}"#
    );
    assert_eq!(
        applied(r#"{"a":1,"b":2}"#, r#"[{"op":"move","from":"/a","path":"/b"}]"#).unwrap(),
        r#"{"b":1}"#
    );
}

#[test]
fn what_a_move_replaced_is_put_back_where_it_was() {
    // The way back inserts before the element that has the replaced member.
    let document = r#"[1,{"a":2},{"a":3}]"#;
    assert_eq!(
        applied(document, r#"[{"op":"move","from":"/0","path":"/1/a"}]"#).unwrap(),
        r#"[{"a":2},{"a":1}]"#
    );
}

#[test]
fn names_of_javascript_prototypes_are_plain_keys() {
    assert_eq!(
        applied("{}", r#"[{"op":"add","path":"/__proto__","value":{}},{"op":"add","path":"/__proto__/constructor","value":1}]"#).unwrap(),
        r#"{"__proto__":{"constructor":1}}"#
    );
    assert_eq!(
        message("{}", r#"[{"op":"add","path":"/constructor/prototype","value":1}]"#),
        "operation 0 (add at \"/constructor/prototype\"): the object at \"\" has no member \"constructor\": add it first, or correct the path"
    );
}

#[test]
fn an_error_says_which_operation_and_why_and_what_to_do() {
    for (operations, expected) in [
        (
            r#"[{"op":"test","path":"","value":{"a":["x"]}},{"op":"remove","path":"/b"}]"#,
            "operation 1 (remove at \"/b\"): the object at \"\" has no member \"b\": add it first, or correct the path",
        ),
        (
            r#"[{"op":"add","path":"/a/01","value":0}]"#,
            "operation 0 (add at \"/a/01\"): \"01\" is no index in the array at \"/a\": use decimal digits without leading zeros, or \"-\" to add at its end",
        ),
        (
            r#"[{"op":"replace","path":"/a/-","value":0}]"#,
            "operation 0 (replace at \"/a/-\"): the array at \"/a\" has 1 elements and none at index -: use a smaller index, or \"-\" to add at its end",
        ),
        (
            r#"[{"op":"copy","from":"/a/0/b","path":"/c"}]"#,
            "operation 0 (copy at \"/a/0/b\"): a string at \"/a/0\" has no members: correct the path",
        ),
        (
            r#"[{"op":"remove","path":""}]"#,
            "operation 0 (remove at \"\"): the whole document cannot be removed: replace it, or delete the document",
        ),
        (
            r#"[{"op":"move","from":"/a","path":"/a/0"}]"#,
            "operation 0 (move at \"/a/0\"): a value cannot be moved into a part of itself: copy it instead",
        ),
        (
            r#"[{"op":"test","path":"/a/0","value":"X"}]"#,
            "operation 0 (test at \"/a/0\"): the value is not the one that is tested for: read the document again and make the change anew",
        ),
        (
            r#"[{"op":"splice","path":"/a","at":0,"remove":0,"insert":""}]"#,
            "operation 0 (splice at \"/a\"): an array cannot be spliced, only a string can: replace it",
        ),
    ] {
        assert_eq!(message(r#"{"a":["x"]}"#, operations), expected);
    }
}

#[test]
fn a_pointer_that_only_begins_alike_is_not_inside() {
    assert_eq!(applied(r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/ab"}]"#).unwrap(), r#"{"ab":1}"#);
}

#[test]
fn a_splice_edits_a_string_between_characters() {
    let splice = |at: usize, remove: usize, insert: &str| {
        let operations =
            format!(r#"[{{"op":"splice","path":"","at":{at},"remove":{remove},"insert":"{insert}"}}]"#);
        applied(r#""aé😀z""#, &operations).map_err(|error| error.kind)
    };
    assert_eq!(splice(1, 6, "").unwrap(), r#""az""#);
    assert_eq!(splice(8, 0, "\\n").unwrap(), r#""aé😀z\n""#);
    assert_eq!(splice(0, 0, "é").unwrap(), r#""éaé😀z""#);
    for (at, remove) in [(2, 1), (1, 1), (3, 2), (4, 0)] {
        assert_eq!(splice(at, remove, ""), Err(PatchErrorKind::SpliceInsideCharacter), "{at} {remove}");
    }
    for (at, remove) in [(8, 1), (9, 0), (usize::MAX >> 12, 1)] {
        assert_eq!(
            splice(at, remove, ""),
            Err(PatchErrorKind::SpliceOutOfRange { length: 8 }),
            "{at} {remove}"
        );
    }
}

#[test]
fn depth_is_limited_at_its_edge() {
    let document = "[[[[[[]]]]]]";
    let add = |value: &str| {
        applied(document, &format!(r#"[{{"op":"add","path":"/0/0/0/0/0/0","value":{value}}}]"#))
    };
    assert_eq!(add("[[1]]").unwrap(), "[[[[[[[[1]]]]]]]]");
    let too_deep = PatchErrorKind::TooDeep { limit: 8 };
    assert_eq!(add("[[[]]]").unwrap_err().kind, too_deep);
    for operation in ["move", "copy"] {
        let deepen = |value: &str| {
            let operations = format!(r#"[{{"op":"{operation}","from":"/1","path":"/0/0/0/0/-"}}]"#);
            applied(&format!("[[[[[]]]],{value}]"), &operations)
        };
        assert!(deepen("[[[]]]").unwrap().starts_with("[[[[[[[[]]]]]]]"));
        assert_eq!(deepen("[[[[]]]]").unwrap_err().kind, too_deep);
    }
}

#[test]
fn copied_bytes_are_limited_in_sum_at_their_edge() {
    let document = r#"{"a":"12345678"}"#;
    let copy = r#"{"op":"copy","from":"/a","path":"/b"}"#;
    assert!(applied(document, &format!("[{copy},{copy}]")).is_ok());
    let error = applied(document, &format!("[{copy},{copy},{copy}]")).unwrap_err();
    assert_eq!((error.operation, error.kind), (2, PatchErrorKind::CopiedTooMuch { limit: 20 }));
}

#[test]
fn doubling_copies_stop_at_the_limit() {
    let copy = r#"{"op":"copy","from":"","path":"/-"}"#;
    let operations = format!("[{}]", [copy; 6].join(","));
    assert_eq!(applied("[1]", &operations).unwrap_err().operation, 2);
}

#[test]
fn spliced_bytes_are_limited_in_sum_at_their_edge() {
    let limits = Limits { max_spliced_bytes: 10, ..LIMITS };
    let splice = r#"{"op":"splice","path":"","at":0,"remove":1,"insert":"x"}"#;
    assert!(applied_within("\"1234\"", &format!("[{splice},{splice}]"), &limits).is_ok());
    let error = applied_within("\"12345\"", &format!("[{splice},{splice}]"), &limits).unwrap_err();
    assert_eq!((error.operation, error.kind), (1, PatchErrorKind::SplicedTooMuch { limit: 10 }));
}

#[test]
fn operations_are_counted_before_any_is_done() {
    let limits = Limits { max_operations: 2, ..LIMITS };
    let test = r#"{"op":"test","path":"","value":1}"#;
    assert!(applied_within("1", &format!("[{test},{test}]"), &limits).is_ok());
    let error = applied_within("2", &format!("[{test},{test},{test}]"), &limits).unwrap_err();
    assert_eq!((error.operation, error.kind), (2, PatchErrorKind::TooManyOperations { count: 3, limit: 2 }));
}

#[test]
fn the_size_of_the_result_is_limited_at_its_edge() {
    let add = |length: usize| {
        applied(r#"{"a":1}"#, &format!(r#"[{{"op":"add","path":"/b","value":"{}"}}]"#, "x".repeat(length)))
    };
    assert_eq!(add(64 - r#"{"a":1,"b":""}"#.len()).unwrap().len(), 64);
    let error = add(65 - r#"{"a":1,"b":""}"#.len()).unwrap_err();
    assert_eq!(error.kind, PatchErrorKind::TooLarge { length: 65, limit: 64 });
}

#[test]
fn a_document_that_is_too_large_may_shrink() {
    let document = format!(r#"["{}","x","yy"]"#, "x".repeat(100));
    assert!(applied(&document, r#"[{"op":"remove","path":"/1"}]"#).is_ok());
    assert!(applied(&document, r#"[{"op":"add","path":"/1","value":0}]"#).is_err());
}
