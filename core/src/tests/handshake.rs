//! The handshake phase: from accept to Finished, with the hello inside.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::peer::{Ending, at, secs};
use super::support::Setup;
use crate::connection::Protocol;
use crate::phase::Phase;
use crate::reason::Reason;

#[test]
fn a_peer_silent_behind_its_hello_is_closed_at_the_limit() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.dial();
        peer.send(host.client_hello()).await;
        let (flight, ending) = at(secs(10), peer.rest()).await;
        assert_eq!((flight[0], ending), (22, Ending::Closed));
        let record = host.closed(&peer, Phase::Handshake, Reason::TlsTimeout).await;
        assert!(record.times[Phase::Handshake.id()] >= secs(10));
        assert_eq!(host.limits(Reason::TlsTimeout), 1);
        assert_eq!(host.server.snapshot().handshakes_failed, 1);
    });
}

#[test]
fn the_clock_contains_the_hello() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.dial();
        let slow = async {
            tokio::time::sleep(secs(4)).await;
            peer.send(host.client_hello()).await;
            peer.rest().await
        };
        assert_eq!(at(secs(10), slow).await.1, Ending::Closed);
        host.closed(&peer, Phase::Handshake, Reason::TlsTimeout).await;
    });
}

#[test]
fn a_handshake_limit_below_that_of_the_hello_acts_on_both() {
    Setup::hello().tls().set("handshake_timeout", "2s").run(async |host| {
        let mut peer = host.dial();
        assert_eq!(at(secs(2), peer.ending()).await, Ending::Closed);
        host.closed(&peer, Phase::Hello, Reason::TlsHelloTimeout).await;
    });
}

#[test]
fn a_finished_handshake_is_counted_and_goes_on_with_a_header() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.connect().await;
        host.turn().await;
        assert_eq!(host.phase(&peer), Phase::Header);
        let snapshot = host.server.snapshot();
        assert_eq!((snapshot.handshakes_completed, snapshot.handshakes_failed), (1, 0));
        peer.get("/").await;
        assert_eq!(peer.answer().await.status, 200);
        peer.finish().await;
        assert_eq!(peer.ending().await, Ending::Closed);
        let record = host.closed(&peer, Phase::Idle, Reason::PeerClosed).await;
        let tls = record.connection.tls.as_ref().expect("facts of the handshake");
        assert_eq!((tls.version_name, tls.group_name), ("TLSv1.3", "X25519MLKEM768"));
        assert_eq!((record.protocol, record.requests), (Some(Protocol::Http11), 1));
        assert!(record.bytes_out > 1_000, "TLS counts: {}", record.bytes_out);
    });
}

#[test]
fn an_alert_of_the_peer_is_what_closes() {
    Setup::hello().tls().run(async |host| {
        let peer = host.dial();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let distrustful = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let id = peer.id;
        assert!(TlsConnector::from(Arc::new(distrustful)).connect(name, peer.stream).await.is_err());
        host.closed_id(id, Phase::Handshake, Reason::TlsAlertReceived).await;
    });
}

#[test]
fn a_peer_that_leaves_in_the_handshake_is_no_limit() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.dial();
        peer.send(host.client_hello()).await;
        peer.finish().await;
        let _ = peer.rest().await;
        host.closed(&peer, Phase::Handshake, Reason::PeerClosed).await;
        assert_eq!(host.limits(Reason::TlsTimeout), 0);
    });
}
