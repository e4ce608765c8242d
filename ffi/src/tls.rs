//! TLS descriptions and identities as objects of C: who we are, what we speak, whom we ask. A listener takes a copy.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use bartizan_core::tls::{self, ClientAuth, TICKET_KEY_LEN};

use crate::borrow::{array, c_text, object, text, text_octets, unique};
use crate::error::{Error, Fault};
use crate::fork::Home;
use crate::guard;
use crate::owned;
use crate::status::{Code, Status};

/// A certificate chain and its key. Owned by the program; one thread at a time.
pub struct Identity {
    home: Home,
    identity: tls::Identity,
}

/// How a listener speaks TLS. Owned by the program; one thread at a time.
pub struct Tls {
    pub(crate) home: Home,
    pub(crate) tls: tls::Tls,
}

/// Makes an identity from a certificate chain, its own certificate first, and its private key, both PEM in memory. Both are
/// copied, and checked to belong together.
///
/// @own both are copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_identity_free.
/// @err E_NULL, E_TLS (PEM, key, chain, mismatch).
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_identity_from_pem(
    chain: *const c_void,
    chain_len: usize,
    key: *const c_void,
    key_len: usize,
    out: Option<&mut MaybeUninit<Box<Identity>>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let out = out.ok_or_else(|| Code::Null.about("out"))?;
        let chain = text_octets(chain.cast(), chain_len).map_err(|code| code.about("chain"))?;
        let key = text_octets(key.cast(), key_len).map_err(|code| code.about("key"))?;
        let identity = tls::Identity::from_pem(chain, key)?;
        out.write(owned::give(Identity { home: Home::here(), identity }));
        Ok(())
    })
}

/// Makes an identity for development: a fresh key and a certificate that it signs itself, for a comma-separated list of DNS
/// names and IP addresses; the empty text stands for localhost,127.0.0.1,::1. A server that uses one says so in its log.
///
/// @own names are copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_identity_free.
/// @err E_NULL, E_VALUE for what is neither a name nor an address.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_identity_self_signed(
    names: *const c_char,
    len: usize,
    out: Option<&mut MaybeUninit<Box<Identity>>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let out = out.ok_or_else(|| Code::Null.about("out"))?;
        let identity = tls::Identity::self_signed(text("names", names, len)?)?;
        out.write(owned::give(Identity { home: Home::here(), identity }));
        Ok(())
    })
}

/// Frees an identity; descriptions that it was given to keep their copy.
///
/// @own takes the identity.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life descriptions keep their copy.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_identity_free(identity: *mut Identity) {
    guard::free(identity, |identity| identity.home, drop);
}

/// Makes a description with policy "intermediate", ALPN "h2,http/1.1" and no identity yet.
///
/// @own the program's.
/// @null takes no pointer.
/// @thread any.
/// @life until bartizan_tls_free.
/// @err NULL after a bug of ours.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_new() -> Option<Box<Tls>> {
    guard::value(None, || Some(owned::give(Tls { home: Home::here(), tls: tls::Tls::new() })))
}

/// Frees a description; listeners and servers keep their copy.
///
/// @own takes the description.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life listeners and servers keep their copy.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_free(tls: *mut Tls) {
    guard::free(tls, |tls| tls.home, drop);
}

/// Changes a description; on failure it is as before.
fn change<'t>(
    tls: Option<&'t mut Tls>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
    change: impl FnOnce(&'t mut tls::Tls) -> Result<(), Fault>,
) -> Status {
    guard::set_up(err, || {
        let tls = tls.ok_or_else(|| Code::Null.about("tls"))?;
        tls.home.check().map_err(|code| code.about("tls"))?;
        change(&mut tls.tls)
    })
}

/// Chooses groups, suites and versions by a named policy, in place of what was set of the three: "intermediate" (TLS 1.2
/// and 1.3), "modern" (1.3 only), "pq-required" (1.3 with a post-quantum group only).
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown name.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_policy(
    tls: Option<&mut Tls>,
    name: *const c_char,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| Ok(tls.policy(c_text("name", name)?).map(drop)?))
}

/// Sets the key-exchange groups ("curves"), comma separated, in our order of preference: "X25519MLKEM768,X25519".
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown name (the message lists the known ones), E_VALUE for an empty item or a double.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_groups(
    tls: Option<&mut Tls>,
    list: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| Ok(tls.groups(text("list", list, len)?).map(drop)?))
}

/// Sets the cipher suites of TLS 1.2 and 1.3 in one list, by IANA name, in our order of preference.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_suites(
    tls: Option<&mut Tls>,
    list: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| Ok(tls.suites(text("list", list, len)?).map(drop)?))
}

/// Sets the versions: "TLSv1.2,TLSv1.3". One that no suite or group is left for is an error at start.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_versions(
    tls: Option<&mut Tls>,
    list: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| Ok(tls.versions(text("list", list, len)?).map(drop)?))
}

/// Sets the ALPN protocols: "h2,http/1.1". A client that offers only others is turned away.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_alpn(
    tls: Option<&mut Tls>,
    list: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| Ok(tls.alpn(text("list", list, len)?).map(drop)?))
}

/// Sets the identity for a server name (SNI; "*.example" stands for one label), or with NULL the default for clients that
/// send no name or one that nothing matches. Without a default those are turned away with unrecognized_name. The identity
/// is shared, not consumed.
///
/// @own the identity is shared, not consumed.
/// @null allowed for server_name, err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed name.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_identity(
    tls: Option<&mut Tls>,
    server_name: *const c_char,
    identity: Option<&Identity>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| {
        let identity = identity.ok_or_else(|| Code::Null.about("identity"))?;
        identity.home.check().map_err(|code| code.about("identity"))?;
        let name = if server_name.is_null() { None } else { Some(c_text("server_name", server_name)?) };
        Ok(tls.identity(name, identity.identity.clone()).map(drop)?)
    })
}

/// Takes identity, policy and client rules for one server name from another description, which is copied. It may be `tls`
/// itself.
///
/// @own other is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed name or a description without an identity.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_server_name(
    tls: *mut Tls,
    server_name: *const c_char,
    other: *const Tls,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        // Copied before `tls` is borrowed to be changed: C may pass one object twice.
        let copy = {
            let other = object(other).map_err(|code| code.about("other"))?;
            other.home.check().map_err(|code| code.about("other"))?;
            other.tls.clone()
        };
        let tls = unique(tls).map_err(|code| code.about("tls"))?;
        tls.home.check().map_err(|code| code.about("tls"))?;
        tls.tls.server_name(c_text("server_name", server_name)?, &copy)?;
        Ok(())
    })
}

/// Asks clients for a certificate (BARTIZAN_CLIENT_AUTH_*) that must come from these CA certificates, PEM in memory; X509
/// CRL blocks among them revoke. Copied.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL; E_VALUE for an unknown mode, or without a CA where one is needed; E_TLS.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_client_auth(
    tls: Option<&mut Tls>,
    mode: u32,
    ca_pem: *const c_void,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| {
        let mode = match mode {
            0 => ClientAuth::Off,
            1 => ClientAuth::Optional,
            2 => ClientAuth::Required,
            _ => {
                return Err(Fault::new(
                    Code::Value,
                    format!("mode {mode} is none of BARTIZAN_CLIENT_AUTH_*"),
                ));
            }
        };
        let pem = text_octets(ca_pem.cast(), len).map_err(|code| code.about("ca_pem"))?;
        Ok(tls.client_auth(mode, pem).map(drop)?)
    })
}

/// Sets the keys of session tickets, to be shared by the hosts that resume each other's sessions: `count` times
/// BARTIZAN_TICKET_KEY_LEN octets, copied; the first seals, all open. 0 = keys are made and rotated inside.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_tls_ticket_keys(
    tls: Option<&mut Tls>,
    keys: *const c_void,
    count: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(tls, err, |tls| {
        let keys: &[[u8; TICKET_KEY_LEN]] = array(keys.cast(), count).map_err(|code| code.about("keys"))?;
        Ok(tls.ticket_keys(keys).map(drop)?)
    })
}
