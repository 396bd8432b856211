//! Who may come in: everybody on an open loopback server, else whoever has the secret.

use std::sync::Arc;

use rejoin_core::{Credentials, Grant};
use rejoin_wire::CloseCode;
use subtle::ConstantTimeEq;

use crate::socket::Admission;

/// As whom somebody acts who did not say who it is, on an open server.
pub(crate) const LOCAL: &str = "local";

/// Lets everybody in. Only for a server that nobody but its own machine can reach.
pub(crate) struct Open;

impl Admission for Open {
    fn admit(&self, credentials: &Credentials, _: Option<&str>) -> Result<Grant, (CloseCode, Arc<str>)> {
        let principal = match credentials {
            Credentials::Hello(_) => LOCAL.into(),
            Credentials::Signature { email, .. } => Arc::clone(email),
        };
        Ok(Grant::new(principal, true))
    }
}

/// As whom somebody acts who has the secret.
const MEMBER: &str = "member";

/// As whom somebody acts who has that of readers.
const READER: &str = "reader";

/// Lets in whoever has the secret, as a bearer token, or that of readers.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) members: Arc<str>,
    pub(crate) readers: Option<Arc<str>>,
}

impl Secret {
    /// What a token allows, if it is one of the two. Both are looked at whatever the first says.
    pub(crate) fn grant(&self, token: &str) -> Option<Grant> {
        let is = |secret: &Arc<str>| bool::from(secret.as_bytes().ct_eq(token.as_bytes()));
        let (is_member, is_reader) = (is(&self.members), self.readers.as_ref().is_some_and(is));
        match (is_member, is_reader) {
            (true, _) => Some(Grant::new(MEMBER, true)),
            (false, true) => Some(Grant::new(READER, false)),
            (false, false) => None,
        }
    }
}

impl Admission for Secret {
    fn admit(
        &self,
        credentials: &Credentials,
        upgrade_token: Option<&str>,
    ) -> Result<Grant, (CloseCode, Arc<str>)> {
        let hello_token = match credentials {
            Credentials::Hello(hello) => hello.token.as_deref(),
            Credentials::Signature { .. } => None,
        };
        let granted = upgrade_token.or(hello_token).map(|token| self.grant(token));
        match granted {
            Some(Some(grant)) => Ok(match credentials {
                Credentials::Hello(_) => grant,
                Credentials::Signature { email, .. } => Grant::new(Arc::clone(email), grant.may_edit),
            }),
            Some(None) => Err((CloseCode::Unauthorized, "the token is not the server's secret; check REJOIN_SECRET".into())),
            None => Err((
                CloseCode::Unauthorized,
                "this server wants a token: send `Authorization: Bearer …` with the upgrade request, or `token` in hello".into(),
            )),
        }
    }
}
