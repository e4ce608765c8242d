//! The configuration of a server, checked as a whole before anything is bound, and what `auto` means on this machine. What a single
//! value may be is `settings.rs`.

use std::sync::Arc;
use std::thread;

use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::pressure::descriptor_limit;
use crate::settings::Settings;
use crate::tls::{NameMap, TlsConfig, normalize_server_name};

pub(super) type Prepared = (Settings, NameMap<Arc<Settings>>, Option<TlsConfig>);

/// Checks the configuration as a whole, so that every fault is told at once.
pub(super) fn prepare_all(config: &Config) -> Result<Vec<Prepared>, Error> {
    let mut faults = config.settings.check();
    if config.listeners.is_empty() {
        faults.push(Error::new(ErrorKind::Value, "no listener: at least one address is needed"));
    }
    let mut prepared = Vec::new();
    for listener in &config.listeners {
        match prepare(&config.settings, listener) {
            Ok(ready) => prepared.push(ready),
            Err(listener_faults) => faults.extend(listener_faults),
        }
    }
    Error::all(faults)?;
    Ok(prepared)
}

/// Checks one listener as a whole.
fn prepare(settings: &Settings, listener: &crate::config::Listener) -> Result<Prepared, Vec<Error>> {
    let own = listener.settings.over(settings);
    let mut faults = if listener.settings.is_empty() { Vec::new() } else { own.check() };
    let mut names = NameMap::default();
    for (name, overrides) in &listener.server_names {
        match normalize_server_name(name) {
            Ok(name) => {
                let merged = overrides.over(&own);
                faults.extend(merged.check());
                names.insert(&name, Arc::new(merged.effective()));
            }
            Err(error) => faults.push(error),
        }
    }
    let own = own.effective();
    if own.proxy_protocol != crate::settings::ProxyProtocol::Off && listener.trust_proxy.is_empty() {
        faults.push(Error::new(
            ErrorKind::Value,
            "proxy_protocol is on without a trusted source: anybody could claim any address",
        ));
    }
    let tls = match listener.tls.as_ref().map(|tls| tls.build(own.http2)).transpose() {
        Ok(tls) => tls,
        Err(error) => {
            faults.push(error);
            None
        }
    };
    if faults.is_empty() { Ok((own, names, tls)) } else { Err(faults) }
}

/// Fixes what `auto` means on this machine, so that everybody reads the same numbers.
pub(super) fn resolve_autos(settings: &mut Settings) {
    settings.io_threads = settings.io_threads.unwrap_or_else(default_io_threads).into();
    settings.worker_threads = settings.worker_threads.unwrap_or_else(default_worker_threads).into();
    settings.max_connections = settings.max_connections.unwrap_or_else(default_connections).into();
}

pub(super) fn default_io_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(16))
}

/// Handlers of a pool block, on the disk or on others: more threads than cores.
pub(super) fn default_worker_threads() -> usize {
    thread::available_parallelism().map_or(8, |cores| (cores.get() * 4).clamp(8, 64))
}

/// The descriptor limit less a reserve of max(32, 2 %) for the program, at most 100,000.
fn default_connections() -> usize {
    let limit = descriptor_limit();
    let reserve = (limit / 50).max(32);
    usize::try_from(limit.saturating_sub(reserve).clamp(1, 100_000)).unwrap_or(100_000)
}
