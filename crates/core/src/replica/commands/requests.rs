//! What drivers and links ask for on behalf of those without a replica.

use super::repeats::Repeat;
use super::*;
use crate::ids::RequestKey;
use crate::replica::CORRUPTED;

impl Replica {
    /// Submits a change for somebody without a replica, at the authority. Answered by [`Reply::Accepted`] or [`Reply::Refused`] once it is durable.
    ///
    /// `key` is what the submitter would repeat: the same key and request get the first outcome again, for as long as the log is kept, and the
    /// same key with another request is refused with `idempotency_mismatch`.
    pub fn submit(
        &mut self,
        token: Token,
        grant: Grant,
        id: &DocumentId,
        body: Body,
        base: Base,
        key: Option<&RequestKey>,
    ) {
        note!(
            self,
            Submit {
                token,
                grant: grant.clone(),
                document: id.clone(),
                body: body.clone(),
                base: base.clone(),
                key: key.cloned(),
            }
        );
        if !self.config.role.decides() {
            self.decides_nothing(token);
            return;
        }
        let ChangeId { replica, counter } = match key {
            None => ChangeId { replica: self.identity, counter: Counter(0) },
            Some(key) => key.change(&grant.principal),
        };
        let time = self.unix_now();
        let change = Change { replica, counter, base: Revision(0), over: Counter(0), time, body };
        self.enqueue_submission(token, id, grant, change, base, key.map(RequestKey::asked));
    }

    /// Answers about a document, with what it shows where it is a CRDT document.
    pub(in crate::replica) fn answer(&mut self, id: &DocumentId, token: Token, reply: Reply) {
        #[cfg(feature = "crdt")]
        let reply = self.shown(id, reply);
        #[cfg(not(feature = "crdt"))]
        let _ = id;
        self.outputs.push_back(Output::Reply { token, reply });
    }

    #[cfg(feature = "crdt")]
    fn shown(&mut self, id: &DocumentId, mut reply: Reply) -> Reply {
        let (crdt, content) = match &mut reply {
            Reply::Document(view) => (&view.crdt, &mut view.content),
            Reply::Past(past) => (&past.crdt, &mut past.content),
            Reply::Conflict(conflict) => (&conflict.view.crdt, &mut conflict.view.content),
            Reply::Accepted(accepted) => (&accepted.view.crdt, &mut accepted.view.content),
            _ => return reply,
        };
        if let (Some(crdt), Some(document)) = (crdt, self.documents.get_mut(id)) {
            *content = document.show(crdt);
        }
        reply
    }

    pub(super) fn decides_nothing(&mut self, token: Token) {
        let message = "this replica decides nothing; ask the authority".into();
        let reply = Reply::Refused { code: ErrorCode::UnexpectedMessage, message };
        self.outputs.push_back(Output::Reply { token, reply });
    }

    /// Reads a document, as it is durable. Answered by [`Reply::Document`].
    pub fn read(&mut self, token: Token, id: &DocumentId) {
        note!(self, Read { token, document: id.clone() });
        if !SERVES {
            self.decides_nothing(token);
            return;
        }
        self.document(id);
        self.reads.entry(id.clone()).or_default().push(Read::Document(token));
    }

    /// Reads heads of documents in the order of their feed numbers, as the store has them: a follower's has those that it holds. Answered by
    /// [`Reply::Heads`].
    pub fn heads(&mut self, token: Token, after: Sequence, limit: u32) {
        note!(self, Heads { token, after, limit });
        let operation = Operation::ScanHeads { after, past: None, limit: limit.min(MAX_HISTORY_PAGE) };
        if self.ready {
            let operation = if SERVES { self.hold_heads(token, operation) } else { Some(operation) };
            if let Some(operation) = operation {
                self.ask_heads(token, operation);
            }
        } else {
            self.storing.ask_heads_when_ready(token, operation);
        }
    }

    /// The store may answer before it answers the commit of what it tells: so what it knows is told, with what is known here.
    pub(in crate::replica) fn ask_heads(&mut self, token: Token, operation: Operation) {
        let durable = if self.config.role.decides() {
            self.durable_sequence()
        } else {
            self.upstream.cursor().map(|cursor| cursor.sequence).unwrap_or_default()
        };
        self.request(operation, Purpose::Heads(token, durable));
    }

    /// The store that these pages are read from is gone.
    pub(in crate::replica) fn end_heads(&mut self) {
        let asked = |purpose: &Purpose| match purpose {
            Purpose::Heads(token, _) => Some(*token),
            _ => None,
        };
        let tokens: Vec<Token> = self.requests.values().filter_map(asked).collect();
        for token in tokens {
            let reply = unavailable("the store was replaced; ask again");
            self.outputs.push_back(Output::Reply { token, reply });
        }
    }

    pub(in crate::replica) fn handle_heads(&mut self, token: Token, durable: Sequence, answer: Answer) {
        let reply = match answer {
            Ok(Answered::Heads(heads)) => Reply::Heads { heads, durable },
            Ok(_) => unavailable("the store has no answer"),
            Err(error) if error.is_damage() => {
                Reply::Refused { code: ErrorCode::Corrupted, message: error.to_string().into() }
            }
            Err(error) => unavailable(&error.to_string()),
        };
        self.outputs.push_back(Output::Reply { token, reply });
    }

    /// Answers what can be answered from memory, and asks the store for the rest.
    pub(in crate::replica) fn answer_reads(&mut self) {
        if SERVES && self.holds_reads() {
            return;
        }
        for (id, reads) in std::mem::take(&mut self.reads) {
            for read in reads {
                if let Some(read) = self.answer_read(&id, read) {
                    self.reads.entry(id.clone()).or_default().push(read);
                }
            }
        }
    }

    pub(super) fn answer_read(&mut self, id: &DocumentId, read: Read) -> Option<Read> {
        let Some(document) = self.documents.get(id) else {
            self.document(id);
            return Some(read);
        };
        if !document.loaded {
            return Some(read);
        }
        match read {
            Read::At(token, revision) if SERVES => self.answer_read_at(id, token, revision),
            Read::Conflict(token, conflict) if SERVES => self.answer_read_conflict(id, token, conflict),
            Read::Repeat(repeat) if SERVES => self.answer_repeat(id, repeat).map(Read::Repeat),
            Read::Document(token) if SERVES => {
                let reply = if document.is_lost() {
                    Reply::Refused { code: ErrorCode::Corrupted, message: CORRUPTED.into() }
                } else {
                    Reply::Document(Box::new(document.confirmed(id)))
                };
                self.answer(id, token, reply);
                None
            }
            Read::History { from: Asker::Driver { token, .. }, .. } if document.is_lost() => {
                let reply = Reply::Refused { code: ErrorCode::Corrupted, message: CORRUPTED.into() };
                self.outputs.push_back(Output::Reply { token, reply });
                None
            }
            Read::History { from: Asker::Link(link, request), .. } if SERVES && document.is_lost() => {
                self.refuse_request(link, request, ErrorCode::Corrupted, CORRUPTED);
                None
            }
            Read::History { from, before, limit } => self.answer_history(id, from, before, limit),
            // Only the deciding side is asked these.
            Read::At(..) | Read::Conflict(..) | Read::Repeat(_) | Read::Document(_) => None,
        }
    }
}

/// Somebody who waits for a document.
#[derive(Clone, Debug)]
pub(in crate::replica) enum Read {
    Document(Token),
    At(Token, Revision),
    Conflict(Token, ConflictId),
    Repeat(Repeat),
    History { from: Asker, before: Option<Revision>, limit: u32 },
}

/// Who asked for history.
#[derive(Clone, Debug)]
pub(in crate::replica) enum Asker {
    /// `shows` where it wants to know what updates changed.
    Driver {
        token: Token,
        #[cfg_attr(not(feature = "crdt"), allow(dead_code, reason = "nobody looks into updates then"))]
        shows: bool,
    },
    Link(LinkId, u64),
}

pub(super) fn unavailable(message: &str) -> Reply {
    Reply::Refused { code: ErrorCode::Unavailable, message: message.into() }
}
