//! What a relay must have from the authority before it answers an opening.

use super::*;

/// What is known of what a link wants to open.
#[derive(Default)]
pub(super) enum Known {
    /// What this replica holds.
    #[default]
    Held,
    /// The authority was asked, by this number.
    Asked(u64),
    /// What the authority knows.
    Found(Box<Finding>),
}

impl Replica {
    /// Whether an opening has to wait for the authority's word; asks for that where it is needed.
    pub(super) fn needs_finding(&mut self, link: LinkId, id: &DocumentId) -> Result<bool, Missing> {
        let Some(document) = self.documents.get(id) else { return Ok(false) };
        let Some(subscriber) = document.subscribers.get(&link).filter(|subscriber| subscriber.unanswered)
        else {
            return Ok(false);
        };
        let have = subscriber.have;
        match &subscriber.known {
            Known::Asked(_) => return Ok(true),
            // What the link holds is on its way here.
            Known::Found(finding) => {
                return Ok(finding.continues && have.revision > document.durable.revision);
            }
            Known::Held => {}
        }
        if subscriber.runs.is_empty() && answer::continues(document, have)?.0 && holds(document, have) {
            return Ok(false);
        }
        let open = OpenDocument { document: id.clone(), have, pending: subscriber.runs.clone() };
        let asked = self.ask_about(link, open);
        if let (Some(request), Some(subscriber)) = (asked, self.subscriber(link, id)) {
            subscriber.known = Known::Asked(request);
        }
        Ok(true)
    }

    /// Takes the authority's word about an opening.
    pub(in crate::replica) fn note_finding(&mut self, link: LinkId, id: &DocumentId, finding: Finding) {
        let Some(subscriber) = self.subscriber(link, id) else { return };
        if matches!(subscriber.known, Known::Asked(request) if request == finding.request) {
            subscriber.known = Known::Found(Box::new(finding));
        }
    }

    /// The authority cannot say anything about what a link wants to open.
    pub(in crate::replica) fn give_up_opening(&mut self, link: LinkId, id: &DocumentId) {
        if let Some(subscriber) = self.subscriber(link, id) {
            subscriber.known = Known::Held;
        }
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.behind.retain(|behind| behind != id);
        }
    }

    /// Whether a link has opened a document by itself.
    pub(in crate::replica) fn subscribes_itself(&self, link: LinkId, id: &DocumentId) -> bool {
        self.documents.get(id).is_some_and(|document| document.subscribers.contains_key(&link))
    }

    fn subscriber(&mut self, link: LinkId, id: &DocumentId) -> Option<&mut Subscriber> {
        self.documents.get_mut(id)?.subscribers.get_mut(&link)
    }
}

/// Whether what somebody has is known to be part of what is held here.
fn holds(document: &Document, have: Have) -> bool {
    have.revision == Revision(0)
        || document.log.chain_at(&document.durable, have.revision) == Some(have.chain)
        || document.chains.get(&have.revision) == Some(&Some(have.chain))
}

/// The authority's outcomes of changes, with those accepted since it was asked that are held here.
pub(super) fn found_outcomes(document: &Document, runs: &[PendingRun], finding: &Finding) -> Vec<Outcome> {
    let mut outcomes = finding.outcomes.clone();
    let known: BTreeSet<ChangeId> = outcomes.iter().map(|outcome| outcome.change).collect();
    for (revision, revised) in document.log.since(document.log.floor()) {
        let change = revised.entry.change;
        let asked = runs
            .iter()
            .any(|run| run.replica == change.replica && (run.first..=run.last).contains(&change.counter));
        if asked && !known.contains(&change) {
            let fate = Fate::Accepted { revision };
            outcomes.push(Outcome { change, hash: revised.entry.hash, fate });
        }
    }
    outcomes
}
