//! What a program asks of the native client beside editing: history, presence, what was rejected.
#![allow(clippy::unwrap_used)]

use crate::support::{Process, client, within};
use rejoin_client::{Body, DocumentError, Effect, ErrorCode, Event, Json, Limits, Revision};

#[tokio::test]
async fn history_is_paged_from_the_authority_and_refused_without_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let ada = client(&process);
    let note = ada.open("note").await.unwrap();
    note.create(Json::from("zero")).await.unwrap();
    for text in ["one", "two", "three"] {
        note.replace("", text).await.unwrap();
        within("acknowledgement", note.acknowledged()).await.unwrap();
    }
    let newest = within("history", note.history(None, 2)).await.unwrap();
    assert_eq!((newest.first, newest.entries.len(), newest.more), (Revision(3), 2, true));
    let oldest = within("history", note.history(Some(newest.first), 50)).await.unwrap();
    assert_eq!((oldest.first, oldest.entries.len(), oldest.more), (Revision(1), 2, false));
    let effects: Vec<&Effect> = oldest.entries.iter().map(|entry| &entry.entry.effect).collect();
    assert!(matches!(effects[..], [Effect::Created { .. }, Effect::Patched { .. }]), "{effects:?}");

    let mut events = ada.events();
    ada.go_offline().await.unwrap();
    within("the link's end", async { while !matches!(events.recv().await.unwrap(), Event::Link(_)) {} })
        .await;
    let refused = within("refusal", note.history(None, 2)).await.unwrap_err();
    assert!(
        matches!(&refused, DocumentError::Refused { code: ErrorCode::Unavailable, message } if message.contains("no link")),
        "{refused}"
    );
}

#[tokio::test]
async fn presence_is_shown_to_others_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (ada, bo) = (client(&process), client(&process));
    let (hers, his) = (ada.open("note").await.unwrap(), bo.open("note").await.unwrap());
    within("bo is there", his.synced()).await.unwrap();
    let mut events = bo.events();
    for state in [Some(Json::from(5_u32)), None] {
        hers.set_presence(state.clone()).await.unwrap();
        within("presence", async {
            loop {
                let shown: Vec<Json> =
                    his.present().await.unwrap().into_iter().map(|(_, presence)| presence.state).collect();
                if shown == Vec::from_iter(state.clone()) {
                    break;
                }
                while !matches!(events.recv().await.unwrap(), Event::Present { .. }) {}
            }
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_rejected_keeps_its_values_until_it_is_dismissed() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (ada, bo) = (client(&process), client(&process));
    let (hers, his) = (ada.open("note").await.unwrap(), bo.open("note").await.unwrap());
    hers.create(Json::parse(r#"{"hers":"","his":""}"#, &Limits::default()).unwrap()).await.unwrap();
    within("the document", his.until(|content| content.get("his").is_some())).await.unwrap();
    ada.go_offline().await.unwrap();

    // Each fits into a document, both together do not.
    let half = "x".repeat(Limits::default().max_document_bytes * 3 / 5);
    his.replace("/his", half.as_str()).await.unwrap();
    within("acknowledgement", his.acknowledged()).await.unwrap();
    let change = hers.replace("/hers", half.as_str()).await.unwrap();
    ada.go_online().await.unwrap();
    let outcome = within("outcome", hers.acknowledged()).await;

    let rejected = hers.rejected().await.unwrap();
    assert_eq!(outcome, Err(DocumentError::Rejected(rejected.clone())));
    assert_eq!(
        rejected.iter().map(|rejected| (rejected.change.id(), rejected.code)).collect::<Vec<_>>(),
        [(change, ErrorCode::TooLarge)]
    );
    let Body::Edit { patch, .. } = &rejected[0].change.body else { panic!("{:?}", rejected[0].change.id()) };
    assert!(patch.encoded_len() > half.len(), "the values are there");
    hers.dismiss_rejected(change).await.unwrap();
    assert_eq!(within("outcome", hers.acknowledged()).await, Ok(()));
    assert!(hers.rejected().await.unwrap().is_empty());
    assert!(hers.recovered().await.unwrap().is_empty());
}
