#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn schema(value: &Value) -> EventSchema {
    EventSchema::new(value).unwrap()
}

#[test]
fn what_is_drawn_fits() {
    let schemas = [
        json!(true),
        json!({}),
        json!({"type": "integer", "minimum": -3, "exclusiveMaximum": 3}),
        json!({"type": "integer", "minimum": 0.5, "maximum": 1.5}),
        json!({"type": "integer", "maximum": -10}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 0.001}),
        json!({"minimum": 5.0, "maximum": 5.0}),
        json!({"type": ["string", "null"], "minLength": 2, "maxLength": 3}),
        json!({"type": "array", "items": {"const": 1}, "minItems": 2}),
        json!({"type": "array", "maxItems": 1}),
        json!({"enum": ["a", 1, null]}),
        json!({"anyOf": [{"type": "boolean"}, {"type": "object", "required": ["x"]}]}),
        json!({"oneOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]}),
        json!({
            "title": "order", "type": "object", "required": ["id", "at"], "additionalProperties": false,
            "properties": {
                "id": {"type": "string", "format": "uuid", "description": "its name"},
                "at": {"type": "string", "format": "date-time"},
                "day": {"format": "date"}, "mail": {"format": "email"}, "from": {"format": "ipv4"}, "link": {"format": "uri"},
                "items": {"type": "array", "items": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}}},
            }
        }),
    ];
    let mut random = Random::new(5);
    for value in schemas {
        let schema = schema(&value);
        for _ in 0..200 {
            let drawn = schema.draw(&mut random);
            assert!(schema.fits(&drawn), "{value}: {drawn}");
        }
    }
}

#[test]
fn what_does_not_fit_is_seen() {
    for (value, good, bad) in [
        (json!({"type": "integer", "minimum": 2}), json!(2.0), vec![json!(1), json!(2.5), json!("2")]),
        (json!({"type": "integer", "minimum": 2}), json!(3), vec![json!(null)]),
        (json!({"type": "number", "exclusiveMaximum": 1}), json!(0.99), vec![json!(1)]),
        (json!({"type": "string", "maxLength": 1}), json!("é"), vec![json!("ab"), json!(1)]),
        (json!({"format": "uuid"}), json!("01234567-89ab-cdef-0123-456789abcdef"), vec![json!("0123")]),
        (
            json!({"format": "date-time"}),
            json!("2024-01-15T10:30:00.5+01:00"),
            vec![json!("2024-01-15T10:30:00"), json!("é")],
        ),
        (json!({"format": "date"}), json!("2024-01-15"), vec![json!("15.1.2024")]),
        (json!({"const": {"a": 1}}), json!({"a": 1}), vec![json!({"a": 2}), json!({})]),
        (json!({"items": {"type": "null"}, "minItems": 1}), json!([null]), vec![json!([]), json!([1])]),
        (
            json!({"properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": false}),
            json!({"a": null}),
            vec![json!({}), json!({"a": 1}), json!({"a": null, "b": 1}), json!([])],
        ),
    ] {
        let schema = schema(&value);
        assert!(schema.fits(&good), "{value} {good}");
        for bad in bad {
            assert!(!schema.fits(&bad), "{value} {bad}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (value, says) in [
        (
            json!({"properties": {"a/b": {"pattern": "x"}}}),
            "/properties/a~1b: \"pattern\" is not understood here",
        ),
        (json!({"$ref": "#/$defs/a"}), ": \"$ref\" is not understood here"),
        (json!({"type": "string", "minimum": 1}), ": \"minimum\" is not understood here"),
        (json!({"enum": [1], "minimum": 1}), ": \"minimum\" is not understood here"),
        (json!({"type": "text"}), ": \"type\" should be one of the types of JSON, or a list of them"),
        (json!({"type": []}), ": \"type\" should be"),
        (json!({"enum": []}), ": \"enum\" should be a list that is not empty"),
        (json!({"minimum": "1"}), ": \"minimum\" should be a number"),
        (json!({"minItems": -1}), ": \"minItems\" should be a whole number"),
        (json!({"type": "string", "format": "color"}), ": \"format\" should be date-time"),
        (json!({"format": "date", "maxLength": 3}), "without minLength"),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "different types"),
        (json!({"minimum": 2, "maximum": 1}), "nothing fits"),
        (json!({"type": "integer", "minimum": 0.1, "maximum": 0.9}), "nothing fits"),
        (json!({"type": "string", "minLength": 2, "maxLength": 1}), "nothing fits"),
        (json!({"required": ["a"], "additionalProperties": false}), "nothing fits"),
        (json!({"required": "a"}), "a list of names"),
        (json!(false), "a schema is an object, or true"),
        (json!({"items": [1]}), "/items: nothing fits"),
    ] {
        let error = EventSchema::new(&value).unwrap_err().to_string();
        assert!(error.contains(says), "{value}: {error}");
    }
}

#[test]
fn schemas_have_limits() {
    let deep = |depth| (0..depth).fold(json!({"type": "null"}), |inner, _| json!({"items": inner}));
    assert!(EventSchema::new(&deep(MAX_SCHEMA_DEPTH)).is_ok());
    assert!(matches!(EventSchema::new(&deep(MAX_SCHEMA_DEPTH + 1)), Err(SchemaError::TooDeep { .. })));
    let long = |length| EventSchema::new(&json!({"type": "string", "minLength": length}));
    assert_eq!(long(MAX_SCHEMA_LENGTH).unwrap().draw(&mut Random::new(1)).as_str().unwrap().len() / 1_000, 1);
    assert!(long(MAX_SCHEMA_LENGTH + 1).is_err());
}

#[test]
fn the_title_names_the_events() {
    assert_eq!(schema(&json!({"title": "order", "type": "null"})).title(), "order");
    assert_eq!(schema(&json!({"type": "null"})).title(), "event");
}
