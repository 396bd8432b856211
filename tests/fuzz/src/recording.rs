//! Bytes as a recording: read and shown, and not run.

use rejoin_core::{Config, Grant, Input, Instant, LinkId, Peer, Replica, Role, Seed};
use rejoin_record::{Header, Recorded, Recorder, RecordingOptions, Replay, Start, checksum};
use rejoin_wire::{Encoding, ReplicaId, UnixMillis, WorkspaceId, Writer};

/// Bytes as a file, and as one record behind a head that is good: whatever they are, they are read to their end or refused.
pub fn recording(bytes: &[u8]) {
    read(bytes);
    for by in [Recorded::Server, Recorded::Browser] {
        for content in [true, false] {
            let Ok(workspace) = WorkspaceId::new("w") else { return };
            let mut file = Writer::new();
            file.raw(&Header::new(by, content, workspace, UnixMillis(0)).to_bytes());
            file.bytes(bytes);
            file.raw(&checksum(bytes).to_le_bytes());
            read(&file.into_bytes());
        }
    }
}

fn read(bytes: &[u8]) {
    let mut replay = Replay::new(bytes).reading_only().showing();
    while let Ok(Some(_)) = replay.advance() {}
    assert!(replay.progress().replayed == 0 && replay.state().is_none());
}

/// Files, and the records of one.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for content in [true, false] {
        let file = file(content);
        // The length of a small record is one byte, and its checksum four.
        let mut rest = &file[..];
        while let Some((first, others)) = rest.split_first() {
            let length = usize::from(*first);
            if let Some(body) = others.get(..length)
                && let Some(sum) = others.get(length..length + 4)
                && checksum(body).to_le_bytes() == *sum
            {
                seeds.push(body.to_vec());
                rest = &others[length + 4..];
            } else {
                rest = others;
            }
        }
        seeds.push(file);
    }
    seeds
}

fn file(content: bool) -> Vec<u8> {
    let Ok(workspace) = WorkspaceId::new("w") else { return Vec::new() };
    let config = Config::new(workspace, Role::Root);
    let start = Start { config: &config, seed: Seed(1), now: Instant(0), unix_now: UnixMillis(0) };
    let options = RecordingOptions { content, ..RecordingOptions::default() };
    let recorder = Recorder::begin(Recorded::Server, &options, &start);
    let mut replica = Replica::new(config.clone(), Seed(1), Instant(0), UnixMillis(0));
    replica.record(recorder.tape());
    let (link, grant) = (LinkId(1), Grant::new("ada", true));
    let peer = Peer { replica: ReplicaId(7), encoding: Encoding::Binary, grant, token: None };
    replica.handle_input(Instant(5), Input::LinkOpened { link, peer });
    while replica.poll_output().is_some() {}
    replica.handle_input(Instant(9), Input::LinkClosed { link, code: Some(1000) });
    recorder.save()
}
