//! The server as an object of C: start, address, TLS update, drain, wait, end. All of it is core's; only ownership is decided
//! here. The numbers are `metrics.rs`.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::borrow::{object, reply};
use crate::config::Config;
use crate::error::Error;
use crate::fork::Home;
use crate::guard;
use crate::owned;
use crate::queue::patience;
use crate::status::{Code, OK, Status};
use crate::tls::Tls;

/// A running server. Owned by the program; any thread.
pub struct Server {
    home: Home,
    core: bartizan_core::Server,
}

impl Server {
    pub(crate) fn core(&self) -> &bartizan_core::Server {
        &self.core
    }
}

/// A call on a server; after a bug of ours the server drains.
pub(crate) fn call(server: *const Server, call: impl FnOnce(&Server) -> Result<Status, Code>) -> Status {
    let server = match object(server).and_then(|server| server.home.check().map(|()| server)) {
        Ok(server) => server,
        Err(code) => return code.status(),
    };
    guard::drained(|| call(server), || server.core.shutdown(None))
}

/// Checks a configuration, tells everything that is wrong with it at once, and starts a server; returns when every listener
/// accepts. The configuration is copied and may be freed or reused.
///
/// @own config is copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any; one at a time per configuration; blocks until every listener accepts.
/// @life the server until bartizan_server_free.
/// @err E_NULL, E_VALUE, E_STATE (nobody answers; a queue that has a server), E_TLS, E_IO (bind, listen, descriptor).
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_start(
    config: Option<&Config>,
    out: Option<&mut MaybeUninit<Box<Server>>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let config = config.ok_or_else(|| Code::Null.about("config"))?;
        config.check()?;
        let out = out.ok_or_else(|| Code::Null.about("out"))?;
        let core = bartizan_core::Server::start(&config.describe()?)?;
        config.started();
        out.write(owned::give(Server { home: Home::here(), core }));
        Ok(())
    })
}

/// The address of a listener, with the port that the system chose: "127.0.0.1:45123", "unix:/path". *len is its length
/// without the NUL.
///
/// @own buf is the program's.
/// @null allowed for buf when cap is 0.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_LIMIT if cap is not more than *len: nothing is written; E_NULL, E_VALUE: no such listener.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_address(
    server: *const Server,
    listener: u32,
    buf: *mut c_char,
    cap: usize,
    len: Option<&mut MaybeUninit<usize>>,
) -> Status {
    let len = len.map(|len| len.write(0));
    call(server, |server| {
        let len = len.ok_or(Code::Null)?;
        reply(buf, cap, len, &server.core.address(listener).ok_or(Code::Value)?)?;
        Ok(OK)
    })
}

/// Replaces identities, policy and keys of a listener: at once and as a whole, for new handshakes only. Copied. On failure
/// the old ones stay.
///
/// @own tls is copied.
/// @null allowed for err.
/// @thread any; one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_TLS, E_STATE for a cleartext listener.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_update_tls(
    server: *mut Server,
    listener: u32,
    tls: Option<&Tls>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let server = object(server).map_err(|code| code.about("server"))?;
        server.home.check().map_err(|code| code.about("server"))?;
        let tls = tls.ok_or_else(|| Code::Null.about("tls"))?;
        tls.home.check().map_err(|code| code.about("tls"))?;
        Ok(server.core.update_tls(listener, &tls.tls)?)
    })
}

/// Ends the server: no new connections, idle ones close, requests in flight complete within `grace_ms`, then the rest is
/// cut. -1 = the setting drain_timeout, 0 = at once; again with less = sooner. Returns at once.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any, also in a callback; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_shutdown(server: *mut Server, grace_ms: i64) -> Status {
    call(server, |server| {
        server.core.shutdown(patience(grace_ms)?);
        Ok(OK)
    })
}

/// Waits until a server that was shut down has ended: connections closed, callbacks returned, drops ran. At most
/// `timeout_ms` (0 = not at all, -1 = for ever).
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any but those of the library; blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_TIMEOUT; E_DEADLOCK on a thread of the library.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_wait(server: *mut Server, timeout_ms: i64) -> Status {
    call(server, |server| {
        let patience = patience(timeout_ms)?;
        if server.core.wait(patience)? { Ok(OK) } else { Err(Code::Timeout) }
    })
}

/// Gives freed memory pages back to the system, after a peak.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_trim(server: *mut Server) -> Status {
    call(server, |server| {
        server.core.trim();
        Ok(OK)
    })
}

/// Frees a server: as bartizan_server_shutdown(server, 0), and the rest ends by itself. Ids and views live on until they
/// are released.
///
/// @own takes the server.
/// @null ignored.
/// @thread any, also in a callback; no other call on it may be running.
/// @life ids and views live on until released; the rest ends by itself.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_free(server: *mut Server) {
    guard::free(server, |server| server.home, drop);
}
