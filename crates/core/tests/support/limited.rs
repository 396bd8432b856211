//! What authorities reject and followers take.

use rejoin_core::{Config, Role};

/// Bytes that a patch may copy where authorities take it; others take more.
const ROOT_COPIED_BYTES: usize = 1 << 16;

/// Has authorities reject what followers make.
pub fn limit_root(config: &mut Config) {
    if config.role == Role::Root {
        config.limits.max_copied_bytes = ROOT_COPIED_BYTES;
    }
}

/// Operations that a follower takes and the authority rejects.
pub fn copying(path: &str) -> String {
    let long = "x".repeat(ROOT_COPIED_BYTES);
    format!(
        r#"{{"op":"add","path":"{path}","value":"{long}"}},{{"op":"copy","from":"{path}","path":"{path}2"}}"#
    )
}
