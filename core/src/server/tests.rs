//! A server on real sockets: what it says as it starts. What its connections do is tested in memory (`tests.rs`).

use std::sync::{Arc, Mutex};

use super::*;
use crate::config::{Dispatch, Listener};
use crate::request::Request;
use crate::tls::Identity;

fn self_signed() -> Tls {
    let mut tls = Tls::new();
    tls.identity(None, Identity::self_signed("localhost").unwrap()).unwrap();
    tls
}

#[test]
fn a_self_signed_identity_is_warned_of_once_per_listener() {
    let warned = Arc::new(Mutex::new(Vec::new()));
    let anywhere = || "127.0.0.1:0".parse().unwrap();
    let listeners = vec![Listener::new(anywhere(), Some(self_signed())), Listener::new(anywhere(), None)];
    let mut config = Config::new(listeners, Dispatch::Inline(Arc::new(|_: Request| ())));
    let log = warned.clone();
    config.hooks.log = Some((LogLevel::Warn, Arc::new(move |record| lock(&log).push(record.text.clone()))));
    let server = Server::start(&config).unwrap();
    let address = server.address(0).unwrap();
    let mut expected = vec![format!("{address} has a self-signed identity, for development only")];
    assert_eq!(*lock(&warned), expected);
    server.update_tls(0, &self_signed()).unwrap();
    expected.push(expected[0].clone());
    assert_eq!(*lock(&warned), expected);
}
