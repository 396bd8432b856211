//! Frames as the npm packages `y-websocket` 3.1.0 and `@hocuspocus/provider` 4.8.0 write and read them.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use bytes::Bytes;
use rejoin_crdt::awareness::{Entry, encode};
use rejoin_crdt::doors::hocuspocus::{self, Access, Frame, name_of};
use rejoin_crdt::doors::{Sync, y_websocket};
use rejoin_crdt::{Fault, Malformed};

/// Bytes as they stand in protocols: two digits each.
fn hex(text: &str) -> Bytes {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

const MOST: usize = 1 << 20;

/// The text `hi` in the root type `t`, by client 1.
const HI: &str = "01 01 01 00 04 01 01 74 02 68 69 00";

#[test]
fn what_y_websocket_says_is_read_and_what_it_reads_is_written() {
    use y_websocket::{Message, awareness, denied, read, step1, step2, update};
    let Ok(Message::Sync(Sync::Step1(has))) = read(&hex("00 00 03 01 01 02"), MOST) else { panic!("step 1") };
    assert_eq!(has.iter().collect::<Vec<_>>(), [(1, 2)]);
    let Ok(Message::Awareness(said)) = read(&hex("01 06 01 01 00 02 7b 7d"), MOST) else {
        panic!("awareness")
    };
    assert_eq!(said.entries(), [Entry { client: 1, clock: 0, state: "{}" }]);
    let frame = hex(&format!("00 01 0c {HI}"));
    let Ok(Message::Sync(Sync::Step2(lacked))) = read(&frame, MOST) else { panic!("step 2") };
    assert_eq!(*lacked.bytes(), hex(HI));
    assert_eq!(lacked.bytes().as_ptr(), frame[3..].as_ptr(), "it is not copied");
    let Ok(Message::Sync(Sync::Update(_))) = read(&hex(&format!("00 02 0c {HI}")), MOST) else {
        panic!("update")
    };
    let Ok(Message::Awareness(left)) = read(&hex("01 08 01 02 00 04 6e 75 6c 6c"), MOST) else {
        panic!("leaves")
    };
    assert!(left.entries()[0].is_gone());
    assert_eq!(read(&hex("03"), MOST), Ok(Message::QueryAwareness));

    assert_eq!(step1(&hex("00")), hex("00 00 01 00"));
    assert_eq!(step2(&hex("00 00")), hex("00 01 02 00 00"));
    assert_eq!(update(&hex(HI)), hex(&format!("00 02 0c {HI}")));
    assert_eq!(awareness(&encode(&[])), hex("01 01 00"));
    assert_eq!(denied("no"), hex("02 00 02 6e 6f"));
}

#[test]
fn what_is_no_message_of_y_websocket_is_refused_where_it_goes_wrong() {
    let refused = |text: &str| y_websocket::read(&hex(text), MOST).unwrap_err();
    assert_eq!(refused(""), Malformed { at: 0, fault: Fault::Ends });
    assert_eq!(refused("02 00 02 6e 6f").fault, Fault::Kind, "what the server says");
    assert_eq!(refused("07").fault, Fault::Kind);
    assert_eq!(refused("00 03 00"), Malformed { at: 1, fault: Fault::Kind });
    assert_eq!(refused("03 03"), Malformed { at: 1, fault: Fault::Trailing });
    assert_eq!(refused("00 00 01 00 00 00 01 00").fault, Fault::Trailing, "two in one frame");
    assert_eq!(refused("00 00 05 80 80 80 80 02"), Malformed { at: 3, fault: Fault::Count });
    assert_eq!(refused("00 02 03 00 01 00").at, 4);
    assert_eq!(refused("01 06 01 01 00 02 7b 78").fault, Fault::Json);
    let most = hex(HI).len();
    let frame = hex(&format!("00 02 0c {HI}"));
    assert!(y_websocket::read(&frame, most).is_ok());
    assert_eq!(y_websocket::read(&frame, most - 1).unwrap_err().fault, Fault::Bytes);
}

#[test]
fn what_hocuspocus_says_is_read_and_what_it_reads_is_written() {
    use hocuspocus::{Message, allowed, awareness, closed, denied, pong, read, status, step1, step2, update};
    let said = |text: &str| match read(&hex(text), MOST) {
        Ok(Frame::About { address: "d1", .. }) => true,
        other => panic!("{text}: {other:?}"),
    };
    let token = hex("02 64 31 02 00 03 74 6f 6b 05 34 2e 38 2e 30");
    let Ok(Frame::About { message, .. }) = read(&token, MOST) else { panic!("a token") };
    assert_eq!(message, Message::Token { token: "tok", version: Some("4.8.0") });
    let older = hex("02 64 31 02 00 03 74 6f 6b");
    let Ok(Frame::About { message, .. }) = read(&older, MOST) else { panic!("a token") };
    assert_eq!(message, Message::Token { token: "tok", version: None });
    assert!(said("02 64 31 00 00 03 01 01 02"));
    assert!(said(&format!("02 64 31 00 01 0c {HI}")));
    assert!(said(&format!("02 64 31 04 01 0c {HI}")));
    assert!(said("02 64 31 01 06 01 01 00 02 7b 7d"));
    assert!(said("02 64 31 05 02 68 69"));
    let close = hex("02 64 31 07");
    assert_eq!(read(&close, MOST), Ok(Frame::About { address: "d1", message: Message::Close }));
    assert_eq!(read(&hex("09"), MOST), Ok(Frame::Ping));
    assert_eq!(read(&hex("0a"), MOST), Ok(Frame::Pong));
    let with_session = hex("05 64 31 00 73 31 03");
    let Ok(Frame::About { address, message: Message::QueryAwareness }) = read(&with_session, MOST) else {
        panic!("a session")
    };
    assert_eq!(name_of(address), ("d1", Some("s1")));
    assert_eq!(name_of("d1"), ("d1", None));

    assert_eq!(allowed("d1", Access::ReadWrite), hex("02 64 31 02 02 0a 72 65 61 64 2d 77 72 69 74 65"));
    assert_eq!(allowed("d1", Access::ReadOnly), hex("02 64 31 02 02 08 72 65 61 64 6f 6e 6c 79"));
    assert_eq!(denied("d1", "no"), hex("02 64 31 02 01 02 6e 6f"));
    assert_eq!(step1("d1", &hex("00")), hex("02 64 31 00 00 01 00"));
    assert_eq!(step2("d1", &hex("00 00")), hex("02 64 31 00 01 02 00 00"));
    assert_eq!(update("d1", &hex(HI)), hex(&format!("02 64 31 00 02 0c {HI}")));
    assert_eq!(awareness("d1", &encode(&[])), hex("02 64 31 01 01 00"));
    assert_eq!((status("d1", true), status("d1", false)), (hex("02 64 31 08 01"), hex("02 64 31 08 00")));
    let reason = hex("02 64 31 07 12 70 72 6f 76 69 64 65 72 5f 69 6e 69 74 69 61 74 65 64");
    assert_eq!(closed("d1", "provider_initiated"), reason);
    assert_eq!(pong(), hex("0a"));
}

#[test]
fn what_is_no_message_of_hocuspocus_is_refused_where_it_goes_wrong() {
    let refused = |text: &str| hocuspocus::read(&hex(text), MOST).unwrap_err();
    assert_eq!(refused("").fault, Fault::Ends);
    assert_eq!(refused("02 64"), Malformed { at: 1, fault: Fault::Ends });
    assert_eq!(refused("02 ff ff 03").fault, Fault::Utf8);
    // What a server says, or asks to be told to everybody.
    for kind in ["02 01 02 6e 6f", "06 02 68 69", "08 01", "0b"] {
        assert_eq!(refused(&format!("02 64 31 {kind}")), Malformed { at: 3, fault: Fault::Kind });
    }
    assert_eq!(refused("02 64 31 07 00").fault, Fault::Trailing);
    assert_eq!(refused("02 64 31 00 00 05 80 80 80 80 02"), Malformed { at: 6, fault: Fault::Count });
    assert_eq!(refused("02 64 31 02 00 03 74 6f 6b 05 34").fault, Fault::Ends);
}
