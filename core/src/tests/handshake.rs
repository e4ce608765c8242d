//! The handshake phase: from accept to Finished, with the hello inside.

use std::io::Write;
use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

use super::peer::{Ending, at, millis, secs};
use super::support::{Setup, hello, identity};
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
fn a_handshake_that_finishes_just_before_the_limit_is_served() {
    Setup::hello().tls().set("client_hello_timeout", "10s").run(async |host| {
        let peer = host.dial();
        tokio::time::sleep(millis(9_990)).await;
        let mut peer = host.shake_hands(peer).await;
        peer.get("/").await;
        assert_eq!(peer.answer().await.text(), "hello");
        assert_eq!(host.limits(Reason::TlsTimeout), 0);
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
fn early_data_is_skipped_and_never_a_request() {
    Setup::kept().tls().run(async |host| {
        let mut client = ClientConfig::clone(host.connector.config());
        client.enable_early_data = true;
        let client = Arc::new(client);
        let connection =
            || ClientConnection::new(client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        // Its name was another server's before, which took early data.
        let resolver = SingleCertAndKey::from(identity().certified_key());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut inviting = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        inviting.max_early_data_size = 16 * 1024;
        inviting.alpn_protocols = client.alpn_protocols.clone();
        let mut before = ServerConnection::new(Arc::new(inviting)).unwrap();
        let mut met = connection();
        while met.wants_write() || before.wants_write() {
            let mut octets = Vec::new();
            while met.wants_write() {
                met.write_tls(&mut octets).unwrap();
            }
            before.read_tls(&mut &octets[..]).unwrap();
            before.process_new_packets().unwrap();
            octets.clear();
            while before.wants_write() {
                before.write_tls(&mut octets).unwrap();
            }
            met.read_tls(&mut &octets[..]).unwrap();
            met.process_new_packets().unwrap();
        }

        let mut client = connection();
        let early = b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(client.early_data().unwrap().write(early).unwrap(), early.len());
        let mut peer = host.dial();
        while client.is_handshaking() || client.wants_write() {
            let mut octets = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut octets).unwrap();
            }
            peer.send(&octets).await;
            if client.is_handshaking() {
                octets.clear();
                peer.stream.read_buf(&mut octets).await.unwrap();
                client.read_tls(&mut &octets[..]).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        assert!(!client.is_early_data_accepted());
        host.turn().await;
        assert!(host.phase(&peer) == Phase::Header && !host.is_request_waiting());
        client.writer().write_all(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut octets = Vec::new();
        client.write_tls(&mut octets).unwrap();
        peer.send(&octets).await;
        let request = host.request().await;
        assert_eq!(request.exchange().head.target(), b"/late");
        hello(&request);
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

#[test]
fn handshakes_over_the_rate_wait_unread_until_the_limit_of_the_hello() {
    Setup::hello().tls().set("max_handshakes_per_second", "2").run(async |host| {
        let mut peers = Vec::new();
        for _ in 0..20 {
            let mut peer = host.dial();
            peer.send(host.client_hello()).await;
            peers.push(peer);
        }
        let began = |host: &super::support::Host| {
            peers.iter().filter(|peer| host.phase(peer) == Phase::Handshake).count()
        };
        host.turn().await;
        assert_eq!(began(host), 2);
        tokio::time::sleep(secs(1)).await;
        assert_eq!(began(host), 4);
        tokio::time::sleep(millis(3_500)).await;
        assert!((10..=11).contains(&began(host)), "{}", began(host));
        tokio::time::sleep(secs(1)).await;
        let waited = host.limits(Reason::TlsRateLimit);
        assert!((8..=10).contains(&waited), "{waited}");
        let closed = host.server.snapshot().closed_by_reason[Reason::TlsRateLimit.index()];
        assert_eq!(closed, waited);
        // Quiet time buys one second's worth, not more.
        drop(peers);
        tokio::time::sleep(secs(60)).await;
        let mut peers = Vec::new();
        for _ in 0..5 {
            let mut peer = host.dial();
            peer.send(host.client_hello()).await;
            peers.push(peer);
        }
        host.turn().await;
        assert_eq!(peers.iter().filter(|peer| host.phase(peer) == Phase::Handshake).count(), 2);
    });
}

#[test]
fn who_waits_for_its_turn_has_sent_nothing_that_was_read() {
    Setup::hello().tls().set("max_handshakes_per_second", "1").run(async |host| {
        let mut first = host.dial();
        first.send(host.client_hello()).await;
        host.turn().await;
        let mut peers: Vec<_> = (0..10).map(|_| host.dial()).collect();
        for peer in &mut peers {
            peer.send(host.client_hello()).await;
        }
        tokio::time::sleep(millis(5_200)).await;
        let mut refused = 0;
        for peer in &peers {
            if let Some(record) = host.last(peer).filter(|record| record.closed == Some(Reason::TlsRateLimit))
            {
                assert_eq!((record.bytes_in, record.phase), (0, Phase::Hello));
                refused += 1;
            }
        }
        assert!((4..=6).contains(&refused), "{refused}");
    });
}
