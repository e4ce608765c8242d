//! TLS as a program describes it: identities by server name, policy, client certificates, ticket keys. A description
//! is compiled when the server starts or is reloaded (`tls/config.rs`); the ClientHello that chooses in it is read by
//! `tls/hello.rs`. No socket is touched here.

mod client_auth;
mod config;
pub(crate) mod handshake;
mod hello;
mod identity;
mod names;
mod outcome;
mod policy;
pub(crate) mod session;
mod tickets;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;

pub use client_auth::ClientAuth;
pub use identity::Identity;
pub use outcome::TlsInfo;
pub use tickets::TICKET_KEY_LEN;

pub(crate) use config::{Entrance, TlsConfig};
pub(crate) use hello::{HelloProgress, HelloReader};
pub(crate) use names::NameMap;
pub use names::normalize_server_name;
pub(crate) use outcome::{Refusal, reason_of};

use crate::error::{Error, ErrorKind};
use policy::Policy;
use tickets::TicketKeys;

/// How a listener speaks TLS. Lists are comma separated, in order of preference, and the server's order decides.
///
/// ```
/// use bartizan::tls::{Identity, Tls};
///
/// let mut tls = Tls::new();
/// tls.policy("modern")?.identity(None, Identity::self_signed("localhost")?)?;
/// # Ok::<(), bartizan::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    rules: Rules,
    names: BTreeMap<Box<str>, NameRules>,
}

#[derive(Clone, Debug)]
enum NameRules {
    /// The listener's rules with another identity.
    Identity(Identity),
    /// Rules of its own.
    Own(Rules),
}

#[derive(Clone, Debug)]
struct Rules {
    identity: Option<Identity>,
    policy: Policy,
    client: Option<Arc<dyn ClientCertVerifier>>,
    alpn: Option<Vec<&'static str>>,
    tickets: Option<Arc<TicketKeys>>,
}

impl Rules {
    fn protocols(&self) -> Vec<&'static str> {
        self.alpn.clone().unwrap_or_else(|| vec!["h2", "http/1.1"])
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Tls {
    /// Policy `intermediate`, ALPN `h2,http/1.1`, no identity yet.
    pub fn new() -> Self {
        let policy = Policy::intermediate();
        Self {
            rules: Rules { identity: None, policy, client: None, alpn: None, tickets: None },
            names: BTreeMap::new(),
        }
    }

    /// A named set of groups, suites and versions; replaces what was set of the three.
    ///
    /// `intermediate`: TLS 1.2 and 1.3, AEAD suites, groups X25519MLKEM768, X25519, secp256r1. `modern`: the same with
    /// TLS 1.3 only. `pq-required`: TLS 1.3 with X25519MLKEM768 or SecP256r1MLKEM768; other clients are turned away.
    pub fn policy(&mut self, name: &str) -> Result<&mut Self, Error> {
        self.rules.policy = Policy::by_name(name)?;
        Ok(self)
    }

    /// Key-exchange groups ("curves") by IANA name; `P-256`, `P-384` and `prime256v1` are understood too.
    pub fn groups(&mut self, list: &str) -> Result<&mut Self, Error> {
        self.rules.policy.set_groups(list)?;
        Ok(self)
    }

    /// Cipher suites by IANA name, those of TLS 1.2 and 1.3 in one list.
    pub fn suites(&mut self, list: &str) -> Result<&mut Self, Error> {
        self.rules.policy.set_suites(list)?;
        Ok(self)
    }

    /// `TLSv1.2`, `TLSv1.3`. A version named here for which no suite or group is left is an error at start.
    pub fn versions(&mut self, list: &str) -> Result<&mut Self, Error> {
        self.rules.policy.set_versions(list)?;
        Ok(self)
    }

    /// ALPN protocols: `h2`, `http/1.1` (`http/1.0` goes with it). A client that offers none of them in its ALPN extension is
    /// turned away; one without the extension speaks HTTP/1.1.
    pub fn alpn(&mut self, list: &str) -> Result<&mut Self, Error> {
        self.rules.alpn = Some(policy::parse_protocols(list)?);
        Ok(self)
    }

    /// The identity for a server name, or with `None` for clients that send no name or one that nothing matches. Without
    /// such a default they are turned away with `unrecognized_name`. `*.example` stands for exactly one label.
    pub fn identity(&mut self, server_name: Option<&str>, identity: Identity) -> Result<&mut Self, Error> {
        match server_name {
            Some(name) => {
                self.names.insert(normalize_server_name(name)?, NameRules::Identity(identity));
            }
            None => self.rules.identity = Some(identity),
        }
        Ok(self)
    }

    /// Takes the identity, policy and client rules for a server name from another description, which is copied; ALPN and
    /// ticket keys too if they are set there.
    pub fn server_name(&mut self, name: &str, other: &Self) -> Result<&mut Self, Error> {
        let name = normalize_server_name(name)?;
        let rules = other.rules_for(&name).into_owned();
        if rules.identity.is_none() {
            return Err(Error::new(
                ErrorKind::Value,
                format!("server name: \"{name}\" is given no identity"),
            ));
        }
        self.names.insert(name, NameRules::Own(rules));
        Ok(self)
    }

    /// Whether clients are asked for a certificate, and the CA certificates that it must come from, in PEM; X509 CRL
    /// blocks among them revoke.
    pub fn client_auth(&mut self, mode: ClientAuth, ca_pem: &[u8]) -> Result<&mut Self, Error> {
        self.rules.client = client_auth::verifier(mode, ca_pem)?;
        Ok(self)
    }

    /// Keys of session tickets, to be shared by the hosts that resume each other's sessions: the first seals, all open,
    /// none for keys that are made and rotated inside.
    pub fn ticket_keys(&mut self, keys: &[[u8; TICKET_KEY_LEN]]) -> Result<&mut Self, Error> {
        self.rules.tickets = TicketKeys::new(keys)?.map(Arc::new);
        Ok(self)
    }

    /// Compiles the description; `http2` off takes `h2` out of every ALPN list.
    pub(crate) fn build(&self, http2: bool) -> Result<TlsConfig, Error> {
        TlsConfig::new(self, http2)
    }

    /// The rules for a configured name; what a name does not set is the listener's.
    fn rules_for(&self, name: &str) -> Cow<'_, Rules> {
        match self.names.get(name) {
            None => Cow::Borrowed(&self.rules),
            Some(NameRules::Identity(identity)) => {
                Cow::Owned(Rules { identity: Some(identity.clone()), ..self.rules.clone() })
            }
            Some(NameRules::Own(own)) => {
                let mut rules = own.clone();
                rules.alpn = rules.alpn.or_else(|| self.rules.alpn.clone());
                rules.tickets = rules.tickets.or_else(|| self.rules.tickets.clone());
                Cow::Owned(rules)
            }
        }
    }
}

/// Draws one random number. The first of a process costs 25 ms (aws-lc gathers jitter entropy), which belongs in the
/// start of a server and not in its first handshake.
pub(crate) fn warm() -> Result<(), Error> {
    let mut octet = [0];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut octet)
        .map_err(|_| Error::new(ErrorKind::Tls, "the cryptographic library has no random numbers"))
}

#[cfg(test)]
mod tests;
