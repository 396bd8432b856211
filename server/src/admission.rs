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

/// Lets in whoever has the secret, as a bearer token.
pub(crate) struct Secret(pub(crate) Arc<str>);

impl Secret {
    pub(crate) fn matches(&self, token: &str) -> bool {
        self.0.as_bytes().ct_eq(token.as_bytes()).into()
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
        match upgrade_token.or(hello_token) {
            Some(token) if self.matches(token) => {
                let principal = match credentials {
                    Credentials::Hello(_) => "member".into(),
                    Credentials::Signature { email, .. } => Arc::clone(email),
                };
                Ok(Grant::new(principal, true))
            }
            Some(_) => Err((CloseCode::Unauthorized, "the token is not the server's secret; check REJOIN_SECRET".into())),
            None => Err((
                CloseCode::Unauthorized,
                "this server wants a token: send `Authorization: Bearer …` with the upgrade request, or `token` in hello".into(),
            )),
        }
    }
}
