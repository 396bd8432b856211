//! What the database adapter is handed, and what of its answers is believed. Its own suite runs in a browser: `tests/browser`.

#![cfg(target_arch = "wasm32")]

use bytes::Bytes;
use js_sys::{JSON, Reflect};
use rejoin_core::storage::{
    Answered, Batch, ChangeRow, Head, MetaKey, Operation, RecordKey, RecordKind, RowKey, StoreError, Write,
};
use rejoin_wasm::storage::{
    Asked, MAX_BODY_BYTES, MAX_POSITION, MAX_TEXT_BYTES, answered, error, is_emptied, is_stale_leader,
    is_strict, to_value,
};
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_test::wasm_bindgen_test as test;

fn plan() -> DocumentId {
    DocumentId::new("plan").expect("an id")
}

fn head() -> Head {
    Head {
        document: plan(),
        revision: Revision(1),
        sequence: Sequence(2),
        chain: ChainHash([9; 32]),
        deleted: false,
        title: Some("Plan".into()),
        created_at: UnixMillis(3),
        updated_at: UnixMillis(u64::MAX),
        author: "ada".into(),
    }
}

fn row() -> ChangeRow {
    ChangeRow {
        document: plan(),
        first_revision: Revision(1),
        last_revision: Revision(2),
        sequence: Sequence(3),
        replica: ReplicaId(0xab),
        first_counter: Counter(4),
        last_counter: Counter(5),
        body: Bytes::from_static(b"\x01\x02"),
    }
}

fn key() -> RecordKey {
    RecordKey { kind: RecordKind::Pending, document: plan(), replica: ReplicaId(u128::MAX), number: 6 }
}

fn batch(write: Write) -> Operation {
    Operation::Commit(Batch { expect: vec![], feed: None, writes: vec![write] })
}

/// As JSON, in which bytes are objects.
fn text(operation: &Operation) -> String {
    let value = to_value(operation).expect("it can be stored");
    JSON::stringify(&value).expect("plain values").into()
}

fn write_text(write: Write) -> String {
    text(&batch(write))
}

#[wasm_bindgen(inline_js = "export const js = (expression) => new Function(`return ${expression}`)();")]
extern "C" {
    /// The value of an expression in JavaScript.
    fn js(expression: &str) -> JsValue;
}

#[test]
fn each_operation_that_reads_is_an_array_that_begins_with_its_number() {
    let document = plan();
    let past = RowKey { first_revision: Revision(1), replica: ReplicaId(0xab), first_counter: Counter(2) };
    let (first, last) = (Counter(1), Counter(u64::MAX));
    let replica = "000000000000000000000000000000ab";
    let cases = [
        (Operation::LoadMeta, "[0]".to_owned()),
        (
            Operation::LoadDocument { document: plan(), before: Some(Revision(7)), limit: u32::MAX },
            r#"[1,"plan",7,4294967295]"#.to_owned(),
        ),
        (
            Operation::LoadDocument { document: plan(), before: None, limit: 8 },
            r#"[1,"plan",null,8]"#.to_owned(),
        ),
        (
            Operation::LoadRows { document: plan(), past, limit: 8 },
            format!(r#"[2,"plan",[1,"{replica}",2],8]"#),
        ),
        (
            Operation::LoadChanges {
                document: plan(),
                after: Revision(1),
                until: Revision(MAX_POSITION),
                limit: 8,
            },
            r#"[3,"plan",1,9007199254740991,8]"#.to_owned(),
        ),
        (
            Operation::LoadOutcomes { document, replica: ReplicaId(0xab), first, last },
            format!(r#"[4,"plan","{replica}",1,18446744073709552000]"#),
        ),
        (Operation::ScanHeads { after: Sequence(1), past: None, limit: 8 }, "[5,1,null,8]".to_owned()),
        (
            Operation::ScanHeads { after: Sequence(1), past: Some(plan()), limit: 8 },
            r#"[5,1,"plan",8]"#.to_owned(),
        ),
        (
            Operation::ScanRecords { kind: RecordKind::Pending, after: Some(key()), limit: 8 },
            r#"[6,1,["plan","ffffffffffffffffffffffffffffffff",6],8]"#.to_owned(),
        ),
        (
            Operation::ScanRecords { kind: RecordKind::Runs, after: Some(key()), limit: 8 },
            "[6,5,null,8]".to_owned(),
        ),
        (
            Operation::ScanRecords {
                kind: RecordKind::Pending,
                after: Some(RecordKey { kind: RecordKind::Runs, ..key() }),
                limit: 8,
            },
            "[6,1,null,0]".to_owned(),
        ),
    ];
    for (operation, expected) in cases {
        assert_eq!(text(&operation), expected);
    }
}

#[test]
fn each_write_is_an_array_that_begins_with_its_number() {
    let (document, body) = (plan(), Bytes::from_static(b"\x01\x02"));
    let bytes = r#"{"0":1,"1":2}"#;
    let row_text = format!(r#""plan",1,2,3,"000000000000000000000000000000ab",4,5,{bytes}"#);
    let chain = (0..32).map(|at| format!(r#""{at}":9"#)).collect::<Vec<_>>().join(",");
    let ones = "f".repeat(32);
    let cases = [
        (
            Write::PutHead(head()),
            format!(r#"0,"plan",1,2,{{{chain}}},false,"Plan",3,18446744073709552000,"ada""#),
        ),
        (
            Write::PutHead(Head { title: None, deleted: true, updated_at: UnixMillis(0), ..head() }),
            format!(r#"0,"plan",1,2,{{{chain}}},true,null,3,0,"ada""#),
        ),
        (
            Write::PutCheckpoint { document: plan(), revision: Revision(7), body: body.clone() },
            format!(r#"1,"plan",7,{bytes}"#),
        ),
        (Write::DropCheckpoints { document: plan(), before: Revision(7) }, r#"2,"plan",7"#.to_owned()),
        (Write::AppendChanges(row()), format!("3,{row_text}")),
        (Write::PutChanges(row()), format!("4,{row_text}")),
        (Write::TrimChanges { document: plan(), through: Revision(7) }, r#"5,"plan",7"#.to_owned()),
        (Write::PutRecord { key: key(), body: body.clone() }, format!(r#"6,1,"plan","{ones}",6,{bytes}"#)),
        (Write::DropRecord { key: key() }, format!(r#"7,1,"plan","{ones}",6"#)),
        (Write::PutMeta { key: MetaKey::Epoch, body: body.clone() }, format!("8,3,{bytes}")),
        (Write::AddMeta { key: MetaKey::Epoch, body }, format!("10,3,{bytes}")),
        (Write::Purge { document }, r#"9,"plan""#.to_owned()),
    ];
    for (write, expected) in cases {
        let strict = matches!(write, Write::PutRecord { .. });
        assert_eq!(write_text(write), format!("[7,[],[[{expected}]],{strict},null]"));
    }
    let expect = vec![(plan(), Revision(3)), (DocumentId::new("b").expect("an id"), Revision(u64::MAX))];
    let expecting = Operation::Commit(Batch { expect, feed: None, writes: vec![] });
    assert_eq!(text(&expecting), r#"[7,[["plan",3],["b",18446744073709552000]],[],false,null]"#);
    let numbering = Operation::Commit(Batch { feed: Some(Sequence(7)), ..Batch::default() });
    assert_eq!(text(&numbering), "[7,[],[],false,7]");
}

#[test]
fn what_is_beyond_a_limit_is_refused_and_what_is_at_it_is_not() {
    let body = |length| Write::PutMeta { key: MetaKey::Cursor, body: Bytes::from(vec![0; length]) };
    let title = |length| Write::PutHead(Head { title: Some("x".repeat(length).into()), ..head() });
    let author = |length| Write::PutHead(Head { author: "x".repeat(length).into(), ..head() });
    let number = |number| Write::PutRecord { key: RecordKey { number, ..key() }, body: Bytes::new() };
    let cases = [
        (body(MAX_BODY_BYTES), body(MAX_BODY_BYTES + 1)),
        (title(MAX_TEXT_BYTES), title(MAX_TEXT_BYTES + 1)),
        (author(MAX_TEXT_BYTES), author(MAX_TEXT_BYTES + 1)),
        (number(MAX_POSITION), number(MAX_POSITION + 1)),
    ];
    for (at, beyond) in cases {
        assert!(to_value(&batch(at)).is_ok());
        assert!(matches!(to_value(&batch(beyond)), Err(StoreError::QuotaExceeded(_))));
    }
}

#[test]
fn only_own_pending_changes_are_committed_strictly() {
    let put = |kind| Write::PutRecord { key: RecordKey { kind, ..key() }, body: Bytes::new() };
    let batch = |writes| Batch { expect: vec![], feed: None, writes };
    assert!(is_strict(&batch(vec![Write::PutHead(head()), put(RecordKind::Pending)])));
    let others = vec![Write::AppendChanges(row()), Write::DropRecord { key: key() }, put(RecordKind::Runs)];
    assert!(!is_strict(&batch(others)));
}

#[test]
fn answers_are_read() {
    let head_value = r#"["plan",1,2,new Uint8Array(32).fill(9),false,"Plan",3,2**64,"ada"]"#;
    let row_value = format!(r#"["plan",1,2,3,"{}ab",4,5,new Uint8Array([1,2])]"#, "0".repeat(30));
    let record = format!(r#"[1,"plan","{}",6,new Uint8Array()]"#, "f".repeat(32));

    let meta = answered(Asked::Meta, &js("[[[2,new Uint8Array([7])]],9007199254740991]"));
    let records = vec![(MetaKey::Cursor, Bytes::from_static(b"\x07"))];
    assert_eq!(meta, Ok(Answered::Meta { records, sequence: Sequence(MAX_POSITION) }));

    let value = format!("[{head_value},[5,new Uint8Array([8])],[{row_value}],[{record}]]");
    let Ok(Answered::Document(loaded)) = answered(Asked::Document, &js(&value)) else { panic!("a document") };
    assert_eq!(loaded.head, Some(head()));
    assert_eq!(loaded.checkpoint, Some((Revision(5), Bytes::from_static(b"\x08"))));
    assert_eq!((loaded.rows, loaded.records), (vec![row()], vec![(key(), Bytes::new())]));

    let Ok(Answered::Document(loaded)) = answered(Asked::Document, &js("[null,null,[],[]]")) else {
        panic!("no document")
    };
    assert_eq!((loaded.head, loaded.checkpoint), (None, None));
    assert_eq!(answered(Asked::Commit, &JsValue::NULL), Ok(Answered::Committed));
    let heads = format!(r#"[["",1],{head_value}]"#);
    assert_eq!(answered(Asked::Heads, &js(&heads)), Ok(Answered::Heads(vec![head()])), "one cannot be read");
}

#[test]
fn what_no_release_wrote_is_corrupted() {
    let bytes = "new Uint8Array(2)";
    let row =
        |first: &str, replica: &str, body: &str| format!(r#"[["plan",{first},2,3,"{replica}",4,5,{body}]]"#);
    let id = "0".repeat(32);
    let cases = [
        (Asked::Meta, "null".to_owned()),
        (Asked::Meta, "[[]]".to_owned()),
        (Asked::Meta, "[[],-1]".to_owned()),
        (Asked::Meta, "[[],1.5]".to_owned()),
        (Asked::Meta, "[[],2**53]".to_owned()),
        (Asked::Meta, "[[],NaN]".to_owned()),
        (Asked::Meta, format!("[[[9,{bytes}]],0]")),
        (Asked::Meta, "[[[1,'text']],0]".to_owned()),
        (Asked::Document, "[5,null,[],[]]".to_owned()),
        (Asked::Document, format!("[null,['1',{bytes}],[],[]]")),
        (Asked::Document, "[null,null,{},[]]".to_owned()),
        (Asked::Changes, row("'1'", &id, bytes)),
        (Asked::Changes, row("1", "7", bytes)),
        (Asked::Changes, row("1", &id, "[1,2]")),
        (Asked::Records, format!("[[3,'plan','{id}',1,{bytes}]]")),
        (Asked::Records, format!("[[1,'','{id}',1,{bytes}]]")),
        (Asked::Heads, "'heads'".to_owned()),
    ];
    for (asked, value) in cases {
        let answer = answered(asked, &js(&value));
        assert!(matches!(answer, Err(StoreError::Corrupted(_))), "{value} is {answer:?}");
    }
    let good = answered(Asked::Changes, &js(&row("1", &id, bytes)));
    assert!(matches!(good, Ok(Answered::Changes(rows)) if rows.len() == 1));
}

#[test]
fn errors_are_told_apart_by_their_codes() {
    let of = |fields: &str| js(&format!("Object.assign(new Error('why'),{fields})"));
    assert_eq!(error(&of("{code:0}")), StoreError::Unavailable("why".into()));
    assert_eq!(error(&of("{code:1}")), StoreError::QuotaExceeded("why".into()));
    assert_eq!(error(&of("{code:2}")), StoreError::Corrupted("why".into()));
    assert_eq!(error(&of("{code:3}")), StoreError::Conflict("why".into()));
    assert_eq!(error(&js("'thrown'")), StoreError::Unavailable("".into()));
    assert_eq!(error(&JsValue::UNDEFINED), StoreError::Unavailable("".into()));

    let flags = of("{code:3,staleLeader:true,emptied:false}");
    assert!(is_stale_leader(&flags) && !is_emptied(&flags));
    assert!(is_emptied(&of("{emptied:true}")) && !is_emptied(&JsValue::NULL));
}

#[test]
fn bodies_are_handed_over_in_memory_of_their_own() {
    let value = to_value(&batch(Write::AppendChanges(row()))).expect("it can be stored");
    let at = |value: &JsValue, index: u32| Reflect::get_u32(value, index).expect("an array");
    let body = at(&at(&at(&value, 2), 0), 8);
    let buffer = Reflect::get(&body, &"buffer".into()).expect("a view");
    let length = Reflect::get(&buffer, &"byteLength".into()).expect("a buffer");
    assert_eq!(length.as_f64(), Some(2.0), "not that of the module");
}
