//! What a link lacks of a document.

use super::*;
use crate::sizes::entry_bytes;

/// The entries after one revision up to another, as far as one message goes; `None` when the log does not reach back.
pub(in crate::replica) fn update_between(
    id: &DocumentId,
    document: &Document,
    after: Revision,
    last: Revision,
) -> Option<Update> {
    let previous = document.log.chain_at(&document.durable, after)?;
    let mut bytes = 0;
    let mut entries = Vec::new();
    for (revision, revised) in document.log.since(after) {
        if revision > last || entries.len() >= MAX_ENTRIES_PER_MESSAGE || bytes >= UPDATE_BYTES {
            break;
        }
        bytes += entry_bytes(&revised.entry);
        entries.push(revised.entry.clone());
    }
    Some(Update { document: id.clone(), first: after.next(), previous, entries, position: None })
}

/// What a link lacks of a document.
pub(super) fn answer(
    id: &DocumentId,
    document: &Document,
    link: LinkId,
    since: Option<Sequence>,
) -> Result<Vec<Message>, Missing> {
    let durable = &document.durable;
    let Some(subscriber) = document.subscribers.get(&link) else {
        return answer_follower(id, document, since.unwrap_or_default()).map(|message| vec![message]);
    };
    let have = subscriber.have;
    let mut messages = Vec::new();
    let held = continues(document, have)?;
    let (continues, reachable) = match &subscriber.known {
        Known::Found(finding) => (finding.continues, held == (true, true)),
        _ => held,
    };
    let by_entries = continues && reachable && have.revision > Revision(0);
    let update =
        if by_entries { update_between(id, document, have.revision, durable.revision) } else { None };
    let update = update.filter(|update| !snapshot_is_smaller(document, update));
    let (common, outcomes) = match &subscriber.known {
        Known::Found(finding) => {
            (Some(&finding.ancestors), opening::found_outcomes(document, &subscriber.runs, finding))
        }
        _ if continues => (None, outcomes(document, &subscriber.runs)?),
        _ => {
            reach_common(document, have)?;
            (None, outcomes(document, &subscriber.runs)?)
        }
    };
    match update {
        Some(update) => {
            // What the entries tell is not told twice; rejections come first, since no entry tells them.
            let told = |outcome: &Outcome| matches!(&outcome.fate, Fate::Accepted { revision } if *revision > have.revision);
            let outcomes: Vec<Outcome> = outcomes.into_iter().filter(|outcome| !told(outcome)).collect();
            let chunks = outcomes.chunks(MAX_ENTRIES_PER_MESSAGE);
            messages.extend(
                chunks.map(|chunk| Message::Outcomes { document: id.clone(), outcomes: chunk.to_vec() }),
            );
            if !update.entries.is_empty() || subscriber.unanswered {
                messages.push(Message::Update(update));
            }
        }
        None => {
            let named = || match common {
                Some(found) => until_now(document, have.revision, found),
                None => ancestors(document, have.revision),
            };
            let parted = (!continues).then(named);
            messages.push(snapshot(id, document, parted, subscriber.runs.clone(), outcomes));
        }
    }
    Ok(messages)
}

/// What the authority found of its line when it was asked, as far as it is here, and before that what has come since: whoever asked takes only what
/// is named from where both may be the same.
fn until_now(document: &Document, newest: Revision, found: &[Have]) -> Vec<Have> {
    let known = found.first().map_or(Revision(0), |first| first.revision);
    let later = ancestors(document, newest).into_iter().filter(|have| have.revision > known);
    let here = found.iter().filter(|have| have.revision <= document.durable.revision);
    later.chain(here.cloned()).take(MAX_ANCESTORS).collect()
}

/// What a follower without a subscription lacks of a document that changed after a position.
pub(super) fn answer_follower(
    id: &DocumentId,
    document: &Document,
    since: Sequence,
) -> Result<Message, Missing> {
    let durable = &document.durable;
    if since > Sequence(0) {
        let floor = document.log.floor();
        let oldest = document.log.revised(floor.next());
        let reaches = oldest.is_some_and(|oldest| oldest.entry.sequence <= since) || floor == Revision(0);
        if !reaches && document.more_below && durable.revision.0 - floor.0 < MAX_CATCH_UP_REVISIONS {
            let floor = Revision(durable.revision.0.saturating_sub(MAX_CATCH_UP_REVISIONS));
            return Err(Missing::Log(floor));
        }
        let held =
            document.log.since(floor).take_while(|(_, revised)| revised.entry.sequence <= since).last();
        let after = held.map(|(revision, _)| revision).or((floor == Revision(0)).then_some(floor));
        let update =
            after.filter(|_| reaches).and_then(|after| update_between(id, document, after, durable.revision));
        // An update that is cut short needs a subscription to go on from.
        let whole = |update: &Update| update.first.0 + update.entries.len() as u64 > durable.revision.0;
        if let Some(update) = update.filter(|update| whole(update) && !snapshot_is_smaller(document, update))
        {
            return Ok(Message::Update(update));
        }
    }
    Ok(snapshot(id, document, None, Vec::new(), Vec::new()))
}

/// Whether a revision that somebody holds is part of this history, and whether entries can lead on from it.
pub(super) fn continues(document: &Document, have: Have) -> Result<(bool, bool), Missing> {
    let durable = &document.durable;
    if have.revision == Revision(0) {
        return Ok((true, false));
    }
    if have.revision > durable.revision {
        return Ok((false, false));
    }
    if let Some(chain) = document.log.chain_at(durable, have.revision) {
        return Ok((chain == have.chain, true));
    }
    match document.chains.get(&have.revision) {
        // Where the chain hash is no longer known, nothing speaks against it.
        Some(chain) => Ok((chain.is_none_or(|chain| chain == have.chain), false)),
        None if document.more_below && durable.revision.0 - have.revision.0 <= MAX_CATCH_UP_REVISIONS => {
            Err(Missing::Log(have.revision))
        }
        None => Err(Missing::Chain(have.revision)),
    }
}

pub(super) fn snapshot_is_smaller(document: &Document, update: &Update) -> bool {
    let entries: usize = update.entries.iter().map(entry_bytes).sum();
    entries > 1_024 && entries > 512 + document.durable.state.content.encoded_len()
}

/// The fates of changes that a replica asks for.
pub(super) fn outcomes(document: &Document, runs: &[PendingRun]) -> Result<Vec<Outcome>, Missing> {
    let mut outcomes = Vec::new();
    for run in runs {
        let last = run.last.min(document.durable.clock.counter(run.replica));
        let counters = (run.first.0..=last.0).take(MAX_ENTRIES_PER_MESSAGE).map(Counter);
        for counter in counters {
            let change = ChangeId { replica: run.replica, counter };
            match document.authority.outcome(change) {
                Some((hash, fate)) => outcomes.push(Outcome { change, hash: *hash, fate: fate.clone() }),
                None if document.authority.is_lost(change) => {}
                None => return Err(Missing::Outcomes(change, last)),
            }
        }
    }
    Ok(outcomes)
}

/// Somebody holds another line: the revisions that both may have in common must be in the log, to be named.
pub(super) fn reach_common(document: &Document, have: Have) -> Result<(), Missing> {
    let newest = have.revision.min(document.durable.revision);
    let floor = Revision(newest.0.saturating_sub(MAX_ANCESTORS as u64));
    let near = document.durable.revision.0 - floor.0 <= MAX_CATCH_UP_REVISIONS + MAX_ANCESTORS as u64;
    if document.log.floor() > floor && document.more_below && near {
        return Err(Missing::Log(floor));
    }
    Ok(())
}

/// Revisions with their chain hashes, newest first, from the one that a holder of another line has.
pub(super) fn ancestors(document: &Document, newest: Revision) -> Vec<Have> {
    document.log.ancestors(&document.durable, newest, MAX_ANCESTORS)
}

/// The whole document. `parted` are ancestors, for a holder of another line.
pub(super) fn snapshot(
    id: &DocumentId,
    document: &Document,
    parted: Option<Vec<Have>>,
    covers: Vec<PendingRun>,
    outcomes: Vec<Outcome>,
) -> Message {
    let Point {
        state, revision, chain, sequence, version, conflicts, created_at, updated_at, author, ..
    } = &document.durable;
    Message::Snapshot(Box::new(Snapshot {
        document: id.clone(),
        revision: *revision,
        chain: *chain,
        sequence: *sequence,
        version: *version,
        header: (*state.header).clone(),
        deleted: state.life == Life::Deleted,
        content: state.content.clone(),
        conflicts: conflicts.values().cloned().collect(),
        created_at: *created_at,
        updated_at: *updated_at,
        author: Arc::clone(author),
        continues: parted.is_none(),
        ancestors: parted.unwrap_or_default(),
        covers,
        outcomes,
        updates: state.crdt.as_ref().map(Into::into),
    }))
}
