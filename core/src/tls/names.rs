//! Server names as programs write them and as clients send them: case-insensitive, without the root's dot, and with
//! a wildcard that stands for exactly one label (RFC 9525 §6.3).

use std::collections::HashMap;

use rustls_pki_types::DnsName;

use crate::error::{Error, ErrorKind};

/// Values by server name: an exact name wins over a wildcard.
#[derive(Clone, Debug)]
pub(crate) struct NameMap<T> {
    exact: HashMap<Box<str>, T>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, T>,
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> NameMap<T> {
    /// Sets the value of a name in the form that [`normalize_server_name`] gives.
    pub(crate) fn insert(&mut self, name: &str, value: T) {
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.insert(parent.into(), value),
            None => self.exact.insert(name.into(), value),
        };
    }

    /// Every value, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.wildcard.values())
    }

    /// The value for a name that a client sent.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.exact.get(name.as_str()).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        })
    }
}

/// The one form of a configured name, `*.example` included.
pub fn normalize_server_name(name: &str) -> Result<Box<str>, Error> {
    let text = name.trim();
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let host = text.strip_prefix("*.").unwrap_or(&text);
    let fault = if !host.is_ascii() {
        "is not ASCII; write the xn-- form that clients send"
    } else if host.parse::<std::net::IpAddr>().is_ok() {
        "is an IP address; clients send none as server name (RFC 6066 section 3)"
    } else if host.contains('*') || DnsName::try_from(host).is_err() {
        "is not a DNS name"
    } else {
        return Ok(text.into());
    };
    Err(Error::new(ErrorKind::Value, format!("server name: \"{name}\" {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &[&'static str]) -> NameMap<&'static str> {
        let mut map = NameMap::default();
        for name in names {
            map.insert(&normalize_server_name(name).unwrap(), *name);
        }
        map
    }

    #[test]
    fn a_name_matches_in_any_case_and_with_the_root_dot() {
        let map = map(&["Www.Example."]);
        for name in ["www.example", "WWW.EXAMPLE", "www.example."] {
            assert_eq!(map.get(name), Some(&"Www.Example."), "{name}");
        }
        assert_eq!(map.get("example"), None);
        assert_eq!(map.get(""), None);
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        let map = map(&["*.example", "exact.example"]);
        assert_eq!(map.get("a.example"), Some(&"*.example"));
        assert_eq!(map.get("exact.example"), Some(&"exact.example"));
        assert_eq!(map.get("example"), None);
        assert_eq!(map.get("a.b.example"), None);
    }

    #[test]
    fn what_no_client_can_send_is_refused() {
        for name in [
            "",
            ".",
            "*",
            "*.",
            "*.*.example",
            "a.*.example",
            "a b",
            "127.0.0.1",
            "::1",
            "bücher.example",
            "a..b",
        ] {
            assert_eq!(
                normalize_server_name(name).map_err(|error| error.kind()),
                Err(ErrorKind::Value),
                "{name:?}"
            );
        }
    }
}
