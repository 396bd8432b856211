//! What a replica was made of.

use std::time::Duration;

use rejoin_core::{Config, Instant, Role, Seed};
use rejoin_json::{Limits, Policy};
use rejoin_wire::{DecodeErrorKind, Reader, Scope, UnixMillis, Wire, WorkspaceId, Writer};

/// Longest name of a principal, and longest token, that is read.
pub(crate) const MAX_NAME_BYTES: usize = 1 << 20;

/// What [`Replica::new`](rejoin_core::Replica::new) was called with.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The seed.
    pub seed: Seed,
    /// The time.
    pub now: Instant,
    /// The wall clock then.
    pub unix_now: UnixMillis,
}

mod role {
    pub(super) const ROOT: u8 = 0;
    pub(super) const RELAY: u8 = 1;
    pub(super) const FOLLOWER: u8 = 2;
}

pub(crate) fn write(start: &Start<'_>, out: &mut Writer) {
    let Config {
        workspace: _,
        role,
        principal,
        policy,
        limits,
        max_outbox_bytes,
        max_inline_bytes,
        max_idle_documents,
        heartbeat_timeout,
        store_retry,
        shares_store,
        // What only simulated worlds set, which are not recorded.
        ..
    } = start.config;
    out.raw(&start.seed.0.to_le_bytes());
    out.varint(start.now.0);
    out.varint(start.unix_now.0);
    match role {
        Role::Root => out.byte(role::ROOT),
        Role::Relay => out.byte(role::RELAY),
        Role::Follower { scope } => {
            out.byte(role::FOLLOWER);
            scope.write(out);
        }
    }
    out.text(principal);
    policy.write(out);
    let Limits {
        max_operations,
        max_depth,
        max_copied_bytes,
        max_spliced_bytes,
        max_document_bytes,
        max_text_bytes,
        align_arrays,
    } = limits;
    for size in [max_operations, max_depth, max_copied_bytes, max_document_bytes, max_text_bytes] {
        out.varint(*size as u64);
    }
    out.varint(*max_spliced_bytes);
    align_arrays.write(out);
    for size in [max_outbox_bytes, max_inline_bytes, max_idle_documents] {
        out.varint(*size as u64);
    }
    for time in [heartbeat_timeout, store_retry] {
        out.varint(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
    shares_store.write(out);
}

/// What it says, for a replica of this workspace.
pub(crate) fn read(workspace: WorkspaceId, input: &mut Reader<'_>) -> (Config, Seed, Instant, UnixMillis) {
    let seed = Seed(u128::from_le_bytes(input.array()));
    let (now, unix_now) = (Instant(input.varint()), UnixMillis(input.varint()));
    let start = input.offset();
    let role = match input.byte() {
        role::ROOT => Role::Root,
        role::RELAY => Role::Relay,
        role::FOLLOWER => Role::Follower { scope: Option::<Scope>::read(input) },
        tag => {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "a role", tag: tag.into() });
            Role::Root
        }
    };
    let mut config = Config::new(workspace, role);
    config.principal = input.text("a principal", MAX_NAME_BYTES).into();
    config.policy = Policy::read(input);
    config.limits = Limits {
        max_operations: size(input),
        max_depth: size(input),
        max_copied_bytes: size(input),
        max_document_bytes: size(input),
        max_text_bytes: size(input),
        max_spliced_bytes: input.varint(),
        align_arrays: bool::read(input),
    };
    config.max_outbox_bytes = size(input);
    config.max_inline_bytes = size(input);
    config.max_idle_documents = size(input);
    config.heartbeat_timeout = Duration::from_micros(input.varint());
    config.store_retry = Duration::from_micros(input.varint());
    config.shares_store = bool::read(input);
    (config, seed, now, unix_now)
}

fn size(input: &mut Reader<'_>) -> usize {
    usize::try_from(input.varint()).unwrap_or(usize::MAX)
}
