//! From the probe's options to the library's objects. What is wrong with a value, the library's own message tells.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use bartizan::settings::{AUTO, Level, OFF, Overrides, Settings, TABLE};
use bartizan::tls::{ClientAuth, Identity, TICKET_KEY_LEN, Tls};
use bartizan::{Bind, Listener};
use serde_json::{Map, Value, json};

use crate::options::{ListenerOptions, NamedIdentity, Place};

/// One line, or several faults of one configuration.
type Told<T> = Result<T, String>;

fn about<T>(what: &str, result: Result<T, impl std::fmt::Display>) -> Told<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// The settings of the server.
pub(crate) fn settings(assignments: &[(String, String)]) -> Told<Settings> {
    let mut settings = Settings::default();
    for (key, text) in assignments {
        settings.set_text(key, text).map_err(|error| error.to_string())?;
    }
    Ok(settings)
}

/// One listener with its TLS, settings and trust list.
pub(crate) fn listener(options: &ListenerOptions) -> Told<Listener> {
    let bind = match &options.place {
        Place::Address(address) => address.parse().map_err(|error: bartizan::Error| error.to_string())?,
        Place::Descriptor(descriptor) => Bind::Descriptor(Arc::new(adopt(*descriptor)?)),
    };
    let mut listener = Listener::new(bind, tls(options)?);
    for (key, text) in &options.settings {
        listener.settings.set_text(key, text).map_err(|error| error.to_string())?;
    }
    for (server_name, key, text) in &options.name_settings {
        let names = &mut listener.server_names;
        let at = names.iter().position(|(name, _)| name == server_name).unwrap_or_else(|| {
            names.push((server_name.clone(), Overrides::new(Level::ServerName)));
            names.len() - 1
        });
        names[at].1.set_text(key, text).map_err(|error| error.to_string())?;
    }
    for network in &options.proxies {
        listener.trust_proxy.push(about("--trust-proxy", network.parse())?);
    }
    Ok(listener)
}

fn adopt(descriptor: i32) -> Told<OwnedFd> {
    about("--listen-fd", fs::symlink_metadata(format!("/dev/fd/{descriptor}")))?;
    // SAFETY: it is open, and whoever started the probe handed it over for the probe to own: nothing else here knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// What a listener presents, its files read anew; `None` for cleartext.
pub(crate) fn tls(options: &ListenerOptions) -> Told<Option<Tls>> {
    if options.plaintext {
        return Ok(None);
    }
    let mut tls = Tls::new();
    rules(&mut tls, options, None)?;
    if let Some(list) = &options.alpn {
        about("--alpn", tls.alpn(list))?;
    }
    if let Some(names) = &options.self_signed {
        let identity = about("--self-signed", Identity::self_signed(names))?;
        about("--self-signed", tls.identity(None, identity))?;
    }
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        about(cert, tls.identity(None, identity(cert, key)?))?;
    }
    for name in &options.names {
        about(&name.server_name, tls.server_name(&name.server_name, &named(options, name)?))?;
    }
    if let Some(path) = &options.ticket_keys {
        about(path, tls.ticket_keys(&ticket_keys(path)?))?;
    }
    Ok(Some(tls))
}

fn named(options: &ListenerOptions, name: &NamedIdentity) -> Told<Tls> {
    let mut tls = Tls::new();
    rules(&mut tls, options, name.policy.as_deref())?;
    about(&name.cert, tls.identity(None, identity(&name.cert, &name.key)?))?;
    Ok(tls)
}

/// What holds for every name of a listener. A policy resets the lists, so it goes first; a name with a policy of its own takes
/// that policy's lists too.
fn rules(tls: &mut Tls, options: &ListenerOptions, own_policy: Option<&str>) -> Told<()> {
    if let Some(policy) = own_policy.or(options.policy.as_deref()) {
        about("--policy", tls.policy(policy))?;
    }
    if own_policy.is_none() {
        if let Some(list) = &options.groups {
            about("--groups", tls.groups(list))?;
        }
        if let Some(list) = &options.suites {
            about("--suites", tls.suites(list))?;
        }
        if let Some(list) = &options.versions {
            about("--versions", tls.versions(list))?;
        }
    }
    let mode = match options.client_auth.as_deref() {
        Some("off") => ClientAuth::Off,
        Some("optional") => ClientAuth::Optional,
        Some("required") => ClientAuth::Required,
        Some(other) => return Err(format!("--client-auth {other}: expected off, optional or required")),
        None if options.client_ca.is_some() => ClientAuth::Required,
        None => ClientAuth::Off,
    };
    let ca = options.client_ca.as_deref().map(read).transpose()?.unwrap_or_default();
    about("--client-auth", tls.client_auth(mode, &ca))?;
    Ok(())
}

fn identity(cert: &str, key: &str) -> Told<Identity> {
    about(cert, Identity::from_pem(&read(cert)?, &read(key)?))
}

fn ticket_keys(path: &str) -> Told<Vec<[u8; TICKET_KEY_LEN]>> {
    match read(path)?.as_chunks() {
        (keys, []) if !keys.is_empty() => Ok(keys.to_vec()),
        _ => Err(format!("{path}: expected keys of {TICKET_KEY_LEN} octets each")),
    }
}

fn read(path: &str) -> Told<Vec<u8>> {
    about(path, fs::read(path))
}

/// The effective settings: numbers in the row's unit, "auto", null for off, choices by name.
pub(crate) fn printed(settings: &Settings) -> Value {
    let effective = settings.effective();
    let rows = TABLE.iter().filter_map(|row| {
        let value = effective.get(row.key).ok()?;
        let shown = match value {
            OFF => Value::Null,
            AUTO => json!("auto"),
            _ => {
                row.choices.get(usize::try_from(value).ok()?).map_or_else(|| json!(value), |name| json!(name))
            }
        };
        Some((row.key.to_owned(), shown))
    });
    Value::Object(rows.collect::<Map<_, _>>())
}
