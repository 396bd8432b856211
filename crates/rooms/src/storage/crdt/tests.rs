use super::*;

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn edit(storage: &mut CrdtStorage, batch: &Json) -> Result<CrdtChange, ErrorCode> {
    let operation = CrdtStorage::read(batch).map_err(|refusal| refusal.code)?;
    storage.apply(operation).map_err(|refusal| refusal.code)
}

fn base64(updates: &[Bytes]) -> Json {
    updates.iter().map(|update| Json::from(STANDARD.encode(update))).collect()
}

const ADD: &str =
    r#"[{"op":"add","path":"/slides","value":[{"title":"a"}]},{"op":"add","path":"/at","value":0}]"#;

#[test]
fn what_one_storage_accepts_another_takes_as_updates_and_both_tell_the_same_view() {
    let (mut here, mut there) = (CrdtStorage::new(1), CrdtStorage::new(2));
    let mut told = json("{}");
    for batch in [
        ADD,
        r#"{"op":"add","path":"/slides/-","value":{"title":"b"}}"#,
        r#"[{"op":"move","from":"/slides/0","path":"/slides/1"}]"#,
    ] {
        let change = edit(&mut here, &json(batch)).unwrap();
        let other = edit(&mut there, &base64(&change.updates)).unwrap();
        let operations = Patch::from_json(&CrdtStorage::operations(&other)).unwrap();
        apply(&mut told, &operations, &Limits::default()).unwrap();
        assert_eq!((here.snapshot(), there.snapshot()), (told.clone(), told.clone()));
    }
    assert_eq!((here.version(), there.version()), (3, 3));
    assert_eq!(told, json(r#"{"slides":[{"title":"b"},{"title":"a"}],"at":0}"#));
}

#[test]
fn a_batch_takes_effect_as_a_whole_or_not_at_all() {
    let mut other = CrdtStorage::new(2);
    let first = edit(&mut other, &json(ADD)).unwrap().updates;
    let second = edit(&mut other, &json(r#"{"op":"remove","path":"/at"}"#)).unwrap().updates;
    let third = edit(&mut other, &json(r#"{"op":"add","path":"/slides/-","value":1}"#)).unwrap().updates;
    let mut storage = CrdtStorage::new(1);
    let before = edit(&mut storage, &json(r#"{"op":"add","path":"/mine","value":1}"#)).unwrap();
    let cases = [
        (base64(&third), ErrorCode::UnknownBase),
        (base64(&[first[0].clone(), Bytes::from_static(b"no")]), ErrorCode::InvalidValue),
        (
            json(r#"[{"op":"add","path":"/b","value":2},{"op":"remove","path":"/c"}]"#),
            ErrorCode::InvalidPatch,
        ),
        (json(r#"{"op":"replace","path":"","value":7}"#), ErrorCode::InvalidPatch),
        (json(r#""AAA""#), ErrorCode::InvalidValue),
        (json(r#"["AAA=", {"op":"remove","path":"/mine"}]"#), ErrorCode::InvalidValue),
    ];
    for (batch, expected) in cases {
        assert_eq!(edit(&mut storage, &batch), Err(expected), "{batch}");
    }
    // The second is there without the first in the middle of a batch, and what came before is taken back.
    let mut lone = CrdtStorage::new(3);
    let lone = edit(&mut lone, &json(r#"{"op":"add","path":"/x","value":1}"#)).unwrap().updates;
    assert_eq!(
        edit(&mut storage, &base64(&[lone[0].clone(), third[0].clone()])),
        Err(ErrorCode::UnknownBase)
    );
    assert_eq!((storage.version(), storage.snapshot()), (1, json(r#"{"mine":1}"#)));
    assert_eq!(storage.updates(), before.updates);
    // And goes on.
    edit(&mut storage, &base64(&[first, second, third].concat())).unwrap();
    assert_eq!(storage.snapshot(), json(r#"{"mine":1,"slides":[{"title":"a"},1]}"#));
}

#[test]
fn a_storage_is_what_it_was_when_it_is_loaded() {
    let mut storage = CrdtStorage::new(1);
    edit(&mut storage, &json(ADD)).unwrap();
    edit(&mut storage, &json(r#"{"op":"remove","path":"/at"}"#)).unwrap();
    for stored in [vec![storage.state().unwrap()], storage.updates().to_vec()] {
        let mut loaded = CrdtStorage::load(2, stored, 9).unwrap();
        assert_eq!((loaded.version(), loaded.snapshot()), (2, storage.snapshot()));
        assert!(matches!(loaded.since(1), Difference::Whole { version: 2, .. }));
        edit(&mut loaded, &json(r#"{"op":"add","path":"/at","value":1}"#)).unwrap();
        assert_eq!(loaded.snapshot().get("at"), Some(&Json::Number(1.0)));
    }
    let missing = storage.updates()[1..].to_vec();
    assert!(CrdtStorage::load(2, missing, 9).is_err());
    assert!(CrdtStorage::load(2, vec![Bytes::from_static(b"no")], 9).is_err());
}

#[test]
fn an_update_that_is_there_already_is_a_batch_that_changes_nothing() {
    let mut storage = CrdtStorage::new(1);
    let updates = edit(&mut storage, &json(ADD)).unwrap().updates;
    let again = edit(&mut storage, &base64(&updates)).unwrap();
    assert_eq!((again.updates.len(), again.patch.len(), storage.version()), (0, 0, 2));
}

#[test]
fn many_updates_are_written_together() {
    let mut storage = CrdtStorage::new(1);
    for number in 0..=MAX_LOGGED_UPDATES {
        let value = Json::from(u32::try_from(number).unwrap());
        let batch = format!(r#"{{"op":"add","path":"/a","value":{value}}}"#);
        edit(&mut storage, &json(&batch)).unwrap();
    }
    assert_eq!(storage.updates().len(), 1);
    let loaded = CrdtStorage::load(257, storage.updates().to_vec(), 2).unwrap();
    assert_eq!(loaded.snapshot(), json(r#"{"a":256}"#));
}

#[test]
fn batches_and_updates_and_the_whole_have_limits() {
    let texts = |count| Json::from(vec![Json::from("AAA="); count]);
    assert!(CrdtStorage::read(&texts(MAX_UPDATES_PER_BATCH)).is_ok());
    assert_eq!(CrdtStorage::read(&texts(MAX_UPDATES_PER_BATCH + 1)).unwrap_err().code, ErrorCode::TooLarge);
    let long = Json::from("A".repeat(MAX_UPDATE_BYTES.div_ceil(3) * 4 + 4));
    assert_eq!(CrdtStorage::read(&long).unwrap_err().code, ErrorCode::TooLarge);
    let mut storage = CrdtStorage::new(1);
    storage.log_bytes = MAX_STATE_BYTES - 2;
    let two = CrdtStorage::read(&json(r#""AAA=""#)).unwrap();
    assert!(storage.apply(two.clone()).is_ok());
    storage.log_bytes = MAX_STATE_BYTES - 1;
    assert_eq!(storage.apply(two).unwrap_err().code, ErrorCode::TooLarge);
}
