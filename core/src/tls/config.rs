//! What a listener's TLS description compiles to, and the choice that each ClientHello makes in it. Everything that can be
//! refused is refused here, before any asymmetric work; what remains for rustls is one group and our order of suites.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, NamedGroup, ProtocolVersion, ServerConfig, SupportedProtocolVersion};

use super::hello::HelloFacts;
use super::names::NameMap;
use super::outcome::Refusal;
use super::policy;
use super::{Rules, Tls};
use crate::error::{Error, ErrorKind};
use crate::http::authority;
use crate::reason::Reason;

/// The immutable, compiled form of a [`Tls`].
#[derive(Debug)]
pub(crate) struct TlsConfig {
    default: Option<Site>,
    names: NameMap<Site>,
    certificates: Vec<CertificateEnd>,
}

/// When the certificate for a server name ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateEnd {
    /// As configured; empty for the default identity.
    pub(crate) server_name: Box<str>,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
    /// Made in process, trusted by nobody.
    pub(crate) development: bool,
}

/// The configuration for one ClientHello.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) config: Arc<ServerConfig>,
    /// Who says which client certificates are good; `None`: none is asked for.
    client: Option<Arc<dyn ClientCertVerifier>>,
}

/// How a connection was let in, where some server name asks for client certificates: with a request that names it, a peer that came
/// in under another one would pass its check by.
pub(crate) struct Entrance {
    config: Arc<TlsConfig>,
    client: Option<Arc<dyn ClientCertVerifier>>,
}

impl Entrance {
    /// `None` where there is nothing to be passed by.
    pub(crate) fn of(config: &Arc<TlsConfig>, choice: &Choice) -> Option<Self> {
        let mut sites = config.default.iter().chain(config.names.values());
        let client = &choice.client;
        sites
            .any(|site| site.asks_more_than(client))
            .then(|| Self { config: config.clone(), client: client.clone() })
    }

    /// Whether a request to `authority` belongs to a name that would have asked for another certificate, or for one at all: it
    /// is for another connection (RFC 9110 §7.4).
    pub(crate) fn is_misdirected(&self, authority: &[u8]) -> bool {
        let host = str::from_utf8(authority::host(authority)).unwrap_or_default();
        let site = self.config.names.get(host).or(self.config.default.as_ref());
        site.is_some_and(|site| site.asks_more_than(&self.client))
    }
}

/// What one server name negotiates.
#[derive(Debug)]
struct Site {
    client: Option<Arc<dyn ClientCertVerifier>>,
    tls12: bool,
    tls13: bool,
    alpn: Vec<&'static str>,
    /// In our order of preference.
    offers: Vec<Offer>,
}

/// rustls follows the client's order of groups, so each of ours has a configuration that can do nothing else.
#[derive(Debug)]
struct Offer {
    group: NamedGroup,
    tls12: bool,
    tls13: bool,
    config: Arc<ServerConfig>,
}

impl TlsConfig {
    pub(super) fn new(tls: &Tls, http2: bool) -> Result<Self, Error> {
        // One ticketer for all names: rustls resumes a session only under the server name that it began with, and a
        // name that asks for client certificates has no tickets at all.
        let rotating = Ticketer::new()
            .map_err(|error| Error::new(ErrorKind::Tls, format!("session tickets: {error}")))?;
        let mut config = Self { default: None, names: NameMap::default(), certificates: Vec::new() };
        if tls.rules.identity.is_some() {
            config.default = Some(Site::new(&tls.rules, http2, &rotating)?);
            config.note_certificate("", &tls.rules);
        }
        for name in tls.names.keys() {
            let rules = tls.rules_for(name);
            config.names.insert(name, Site::new(&rules, http2, &rotating)?);
            config.note_certificate(name, &rules);
        }
        if config.certificates.is_empty() {
            let fault = "tls: there is no identity; give a certificate chain with its key";
            return Err(Error::new(ErrorKind::Value, fault));
        }
        Ok(config)
    }

    fn note_certificate(&mut self, name: &str, rules: &Rules) {
        self.certificates.extend(rules.identity.as_ref().map(|identity| CertificateEnd {
            server_name: name.into(),
            not_after: identity.not_after(),
            development: identity.is_development(),
        }));
    }

    /// Every identity's end of validity, the default one first.
    pub(crate) fn certificates(&self) -> &[CertificateEnd] {
        &self.certificates
    }

    /// What a completed handshake can have negotiated: version, group, resumed. TLS 1.2 resumes without a group.
    pub(crate) fn negotiable(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let sites = self.default.iter().chain(self.names.values());
        sites.flat_map(|site| &site.offers).flat_map(|offer| {
            let group = policy::group_name(offer.group);
            let tls12 = policy::version_name(ProtocolVersion::TLSv1_2);
            let tls13 = policy::version_name(ProtocolVersion::TLSv1_3);
            let first = [(tls12, group, false), (tls12, "", true)].into_iter().filter(|_| offer.tls12);
            first.chain(
                [false, true].map(|resumed| (tls13, group, resumed)).into_iter().filter(|_| offer.tls13),
            )
        })
    }

    /// The configuration for this ClientHello, or why there is none. Our order of groups is strict: a client that lists
    /// a group we prefer, but sent no key share for it, is asked for one (HelloRetryRequest, one round trip).
    pub(crate) fn choose(&self, hello: &HelloFacts) -> Result<Choice, Refusal> {
        let named = hello.server_name.as_deref().and_then(|name| self.names.get(name));
        let Some(site) = named.or(self.default.as_ref()) else {
            return Err(Refusal::with_alert(Reason::TlsNoServerName, AlertDescription::UnrecognisedName));
        };
        // As rustls will decide: TLS 1.3 where both can.
        let tls13 = hello.tls13 && site.tls13;
        let tls12 = hello.tls12 && site.tls12;
        if !tls13 && !tls12 {
            return Err(Refusal::with_alert(Reason::TlsNoVersion, AlertDescription::ProtocolVersion));
        }
        // A TLS 1.2 client without a group list would leave the choice to us (RFC 8422 §4), but rustls has no
        // default for it; such clients are older than the AEAD suites.
        let offer = site
            .offers
            .iter()
            .filter(|offer| if tls13 { offer.tls13 } else { offer.tls12 })
            .find(|offer| hello.groups.contains(&offer.group))
            .ok_or_else(|| Refusal::with_alert(Reason::TlsNoGroup, AlertDescription::HandshakeFailure))?;
        let agrees = |theirs: &Vec<Vec<u8>>| {
            site.alpn.iter().any(|ours| theirs.iter().any(|name| name == ours.as_bytes()))
        };
        if hello.alpn.as_ref().is_some_and(|theirs| !agrees(theirs)) {
            return Err(Refusal::with_alert(Reason::TlsNoProtocol, AlertDescription::NoApplicationProtocol));
        }
        Ok(Choice { config: offer.config.clone(), client: site.client.clone() })
    }
}

impl Site {
    /// Whether a connection whose certificate `client` has judged lacks what this name asks for.
    fn asks_more_than(&self, client: &Option<Arc<dyn ClientCertVerifier>>) -> bool {
        match (&self.client, client) {
            (Some(own), Some(other)) => !Arc::ptr_eq(own, other),
            (own, _) => own.is_some(),
        }
    }

    fn new(rules: &Rules, http2: bool, rotating: &Arc<dyn ProducesTickets>) -> Result<Self, Error> {
        let versions = rules.policy.usable_versions()?;
        let offers_version = |version| versions.iter().any(|usable| usable.version == version);
        let mut alpn = rules.protocols();
        alpn.retain(|protocol| http2 || *protocol != "h2");
        if alpn.is_empty() {
            return Err(Error::new(ErrorKind::Value, "alpn: h2 is the only protocol, and http2 is off"));
        }
        if alpn.contains(&"http/1.1") {
            alpn.push(policy::HTTP_1_0);
        }
        let mut site = Self {
            client: rules.client.clone(),
            tls12: offers_version(ProtocolVersion::TLSv1_2),
            tls13: offers_version(ProtocolVersion::TLSv1_3),
            alpn,
            offers: Vec::new(),
        };
        for group in &rules.policy.groups {
            let mut config = server_config(rules, *group, &versions)?;
            config.alpn_protocols = site.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            if rules.client.is_none() {
                let fixed = rules.tickets.as_ref().map(|keys| keys.clone() as Arc<dyn ProducesTickets>);
                config.ticketer = fixed.unwrap_or_else(|| rotating.clone());
                config.send_tls13_tickets = 1;
            }
            site.offers.push(Offer {
                group: group.name(),
                tls12: site.tls12 && group.usable_for_version(ProtocolVersion::TLSv1_2),
                tls13: site.tls13 && group.usable_for_version(ProtocolVersion::TLSv1_3),
                config: Arc::new(config),
            });
        }
        Ok(site)
    }
}

/// A configuration without resumption. It keeps every version even where the group serves only one of them: a TLS 1.2
/// handshake must carry the downgrade mark of a server that can do TLS 1.3 (RFC 8446 §4.1.3).
fn server_config(
    rules: &Rules,
    group: &'static dyn rustls::crypto::SupportedKxGroup,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, Error> {
    let Some(identity) = &rules.identity else {
        return Err(Error::new(ErrorKind::Value, "tls: there is no identity for a server name"));
    };
    let builder = ServerConfig::builder_with_provider(rules.policy.provider(group))
        .with_protocol_versions(versions)
        .map_err(|error| Error::new(ErrorKind::Tls, format!("tls: {error}")))?;
    let builder = match &rules.client {
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}
