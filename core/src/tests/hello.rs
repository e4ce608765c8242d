//! The hello phase: from accept until the ClientHello is complete.

use super::peer::{Ending, at, millis, secs};
use super::support::Setup;
use crate::phase::Phase;
use crate::reason::Reason;

#[test]
fn a_silent_peer_is_closed_at_the_limit() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.dial();
        assert_eq!(at(secs(5), peer.ending()).await, Ending::Closed);
        let record = host.closed(&peer, Phase::Hello, Reason::TlsHelloTimeout).await;
        assert_eq!((record.bytes_in, record.bytes_out, record.requests), (0, 0, 0));
        assert!(record.times[Phase::Hello.id()] >= secs(5));
        assert_eq!(host.limits(Reason::TlsHelloTimeout), 1);
        assert_eq!(host.server.snapshot().handshakes_failed, 1);
    });
}

#[test]
fn a_dripped_hello_does_not_extend_the_clock() {
    Setup::hello().tls().set("client_hello_timeout", "3s").run(async |host| {
        let mut peer = host.dial();
        let hello = host.client_hello();
        let drip = async {
            for octet in &hello[..5] {
                peer.send([*octet]).await;
                tokio::time::sleep(millis(500)).await;
            }
            peer.ending().await
        };
        assert_eq!(at(secs(3), drip).await, Ending::Closed);
        host.closed(&peer, Phase::Hello, Reason::TlsHelloTimeout).await;
    });
}

#[test]
fn a_hello_just_before_the_limit_is_served() {
    Setup::hello().tls().run(async |host| {
        let peer = host.dial();
        tokio::time::sleep(millis(4_990)).await;
        let mut peer = host.shake_hands(peer).await;
        peer.get("/").await;
        assert_eq!(peer.answer().await.text(), "hello");
        assert_eq!(host.limits(Reason::TlsHelloTimeout), 0);
    });
}

#[test]
fn a_peer_that_leaves_before_its_hello_is_no_limit() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.dial();
        peer.send(&host.client_hello()[..100]).await;
        peer.finish().await;
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Hello, Reason::PeerClosed).await;
        let peer = host.dial();
        let id = peer.id;
        peer.reset();
        host.closed_id(id, Phase::Hello, Reason::PeerReset).await;
    });
}

#[test]
fn an_endless_hello_is_refused_with_an_alert() {
    Setup::hello().tls().set("max_client_hello_bytes", "256").run(async |host| {
        let mut peer = host.dial();
        peer.send(host.client_hello()).await;
        let (alert, _) = peer.rest().await;
        assert_eq!(&alert[..3], [21, 3, 3], "an alert record");
        host.closed(&peer, Phase::Hello, Reason::TlsHelloSize).await;
        assert_eq!(host.limits(Reason::TlsHelloSize), 1);
    });
}
