//! Which key-exchange groups, cipher suites and versions a server name offers, in our order of preference: the names that
//! programs write, the three named policies, and which versions remain when lists and policy are put together.
//! How a ClientHello meets them is `config.rs`.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, version};

use aws_lc_rs::{cipher_suite, kx_group};

use crate::error::{Error, ErrorKind};

/// An element of a list that programs write, under its IANA name.
pub(super) struct Named<T> {
    pub(super) name: &'static str,
    aliases: &'static [&'static str],
    pub(super) value: T,
}

const fn named<T>(name: &'static str, value: T) -> Named<T> {
    Named { name, aliases: &[], value }
}

/// Every group that the provider can do. It has no secp521r1.
static GROUPS: [Named<&dyn SupportedKxGroup>; 7] = [
    named("X25519MLKEM768", kx_group::X25519MLKEM768),
    named("SecP256r1MLKEM768", kx_group::SECP256R1MLKEM768),
    named("X25519", kx_group::X25519),
    Named { name: "secp256r1", aliases: &["P-256", "P256", "prime256v1"], value: kx_group::SECP256R1 },
    Named { name: "secp384r1", aliases: &["P-384", "P384"], value: kx_group::SECP384R1 },
    named("MLKEM768", kx_group::MLKEM768),
    named("MLKEM1024", kx_group::MLKEM1024),
];

static SUITES: [Named<SupportedCipherSuite>; 9] = [
    named("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    named("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    named("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    named("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    named("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    named("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    named("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    named(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    named(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

static VERSIONS: [Named<&SupportedProtocolVersion>; 2] =
    [named("TLSv1.3", &version::TLS13), named("TLSv1.2", &version::TLS12)];

static PROTOCOLS: [Named<&str>; 2] = [named("h2", "h2"), named("http/1.1", "http/1.1")];

/// Not for programs to choose: whoever serves HTTP/1.1 serves 1.0. `curl --http1.0` offers nothing else, and without an overlap
/// RFC 7301 §3.2 would have it turned away.
pub(super) const HTTP_1_0: &str = "http/1.0";

/// What one server name negotiates.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    suites: Vec<SupportedCipherSuite>,
    versions: Vec<&'static SupportedProtocolVersion>,
    /// The program named the versions itself, so one that cannot work is an error and not just unused.
    versions_named: bool,
}

impl Policy {
    pub(super) fn intermediate() -> Self {
        Self {
            groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
            suites: SUITES.iter().map(|suite| suite.value).collect(),
            versions: vec![&version::TLS13, &version::TLS12],
            versions_named: false,
        }
    }

    fn modern() -> Self {
        let mut policy = Self::intermediate();
        policy.suites.retain(|suite| suite.tls13().is_some());
        policy.versions = vec![&version::TLS13];
        policy
    }

    fn pq_required() -> Self {
        Self { groups: vec![kx_group::X25519MLKEM768, kx_group::SECP256R1MLKEM768], ..Self::modern() }
    }

    pub(super) fn by_name(name: &str) -> Result<Self, Error> {
        match name {
            "intermediate" => Ok(Self::intermediate()),
            "modern" => Ok(Self::modern()),
            "pq-required" => Ok(Self::pq_required()),
            _ => Err(Error::new(
                ErrorKind::Option,
                format!("policy: \"{name}\" is unknown; known: intermediate, modern, pq-required"),
            )),
        }
    }

    pub(super) fn set_groups(&mut self, list: &str) -> Result<(), Error> {
        self.groups = parse_list("groups", list, &GROUPS)?;
        Ok(())
    }

    pub(super) fn set_suites(&mut self, list: &str) -> Result<(), Error> {
        self.suites = parse_list("suites", list, &SUITES)?;
        Ok(())
    }

    pub(super) fn set_versions(&mut self, list: &str) -> Result<(), Error> {
        self.versions = parse_list("versions", list, &VERSIONS)?;
        self.versions_named = true;
        Ok(())
    }

    /// The versions for which a suite and a group exist. One that lacks either is dropped if the policy brought it, and
    /// an error if the program named it: settings that disagree are refused only where the program set both.
    pub(super) fn usable_versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
        let mut usable = Vec::new();
        for version in &self.versions {
            let missing = if !self.suites.iter().any(|suite| suite.version() == *version) {
                "suite"
            } else if !self.groups.iter().any(|group| group.usable_for_version(version.version)) {
                "group"
            } else {
                usable.push(*version);
                continue;
            };
            if self.versions_named {
                let name = version_name(version.version);
                let fault = format!("versions: {name} is named, but no {missing} of the list works with it");
                return Err(Error::new(ErrorKind::Value, fault));
            }
        }
        if usable.is_empty() {
            return Err(Error::new(ErrorKind::Value, "no TLS version works with these groups and suites"));
        }
        Ok(usable)
    }

    /// A provider that can do one group only. rustls takes the client's order of groups (0.23.46, `server/hs.rs`), so
    /// the choice is made before, and rustls is left none.
    pub(super) fn provider(&self, group: &'static dyn SupportedKxGroup) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            kx_groups: vec![group],
            cipher_suites: self.suites.clone(),
            ..aws_lc_rs::default_provider()
        })
    }
}

/// The ALPN protocols of a comma-separated list.
pub(super) fn parse_protocols(list: &str) -> Result<Vec<&'static str>, Error> {
    parse_list("alpn", list, &PROTOCOLS)
}

/// The protocol that these octets name, if it is one that we speak.
pub(super) fn protocol_name(octets: &[u8]) -> Option<&'static str> {
    let names = PROTOCOLS.iter().map(|protocol| protocol.name).chain([HTTP_1_0]);
    names.into_iter().find(|name| name.as_bytes() == octets)
}

pub(super) fn group_name(group: NamedGroup) -> &'static str {
    GROUPS.iter().find(|known| known.value.name() == group).map_or("", |known| known.name)
}

pub(super) fn suite_name(suite: SupportedCipherSuite) -> &'static str {
    SUITES.iter().find(|known| known.value == suite).map_or("", |known| known.name)
}

pub(super) fn version_name(version: ProtocolVersion) -> &'static str {
    VERSIONS.iter().find(|known| known.value.version == version).map_or("", |known| known.name)
}

fn parse_list<T: Copy>(what: &str, list: &str, known: &[Named<T>]) -> Result<Vec<T>, Error> {
    let mut positions = Vec::new();
    for item in list.split(',').map(str::trim) {
        if item.is_empty() {
            let fault = if list.trim().is_empty() { "is empty" } else { "has an empty item" };
            return Err(Error::new(ErrorKind::Value, format!("{what}: the list {fault}")));
        }
        let matches = |name: &str| name.eq_ignore_ascii_case(item);
        let position = known
            .iter()
            .position(|entry| matches(entry.name) || entry.aliases.iter().any(|alias| matches(alias)));
        let Some(position) = position else {
            let names: Vec<_> = known.iter().map(|entry| entry.name).collect();
            let fault = format!("{what}: \"{item}\" is unknown; known: {}", names.join(", "));
            return Err(Error::new(ErrorKind::Option, fault));
        };
        if positions.contains(&position) {
            return Err(Error::new(
                ErrorKind::Value,
                format!("{what}: {} is named twice", known[position].name),
            ));
        }
        positions.push(position);
    }
    Ok(positions.into_iter().map(|position| known[position].value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(list: &str) -> Result<Vec<NamedGroup>, Error> {
        parse_list("groups", list, &GROUPS).map(|groups| groups.iter().map(|group| group.name()).collect())
    }

    #[test]
    fn list_items_are_trimmed_and_keep_their_order() {
        let expected = [NamedGroup::secp384r1, NamedGroup::secp256r1, NamedGroup::X25519];
        assert_eq!(groups(" secp384r1 ,prime256v1, x25519").unwrap(), expected);
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = groups("X25519,secp521r1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Option);
        let text = error.to_string();
        assert!(text.contains("\"secp521r1\"") && text.contains("secp256r1, secp384r1"), "{text}");
    }

    #[test]
    fn empty_lists_empty_items_and_doubles_are_values_out_of_range() {
        for list in ["", "  ", "X25519,", ",", "P-256,prime256v1"] {
            assert_eq!(groups(list).unwrap_err().kind(), ErrorKind::Value, "{list:?}");
        }
    }

    #[test]
    fn every_group_and_suite_of_the_provider_has_its_name() {
        for group in aws_lc_rs::ALL_KX_GROUPS {
            assert_ne!(group_name(group.name()), "", "{:?}", group.name());
        }
        for suite in aws_lc_rs::ALL_CIPHER_SUITES {
            let ours = suite_name(*suite);
            assert_eq!(
                ours.replace("TLS_", ""),
                format!("{:?}", suite.suite()).replace("TLS13_", "").replace("TLS_", "")
            );
        }
    }

    #[test]
    fn p384_is_in_no_policy() {
        for name in ["intermediate", "modern", "pq-required"] {
            let policy = Policy::by_name(name).unwrap();
            assert!(policy.groups.iter().all(|group| group.name() != NamedGroup::secp384r1), "{name}");
        }
    }

    #[test]
    fn a_version_without_a_suite_or_group_is_dropped_or_refused() {
        let mut policy = Policy::intermediate();
        policy.set_groups("X25519MLKEM768").unwrap();
        assert_eq!(policy.usable_versions().unwrap(), [&version::TLS13]);
        policy.set_versions("TLSv1.2,TLSv1.3").unwrap();
        let error = policy.usable_versions().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().contains("no group"), "{error}");

        let mut policy = Policy::modern();
        policy.set_versions("TLSv1.2").unwrap();
        assert!(policy.usable_versions().unwrap_err().to_string().contains("no suite"));

        let mut policy = Policy::pq_required();
        policy.set_suites("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").unwrap();
        assert_eq!(policy.usable_versions().unwrap_err().kind(), ErrorKind::Value);
    }
}
