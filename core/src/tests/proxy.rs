//! The proxy phase: from accept until the PROXY header is complete.

use tokio::time::sleep;

use super::peer::{Ending, at, millis, secs};
use super::support::Setup;
use crate::phase::Phase;
use crate::reason::Reason;

const HEADER: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n";

fn behind_balancer() -> Setup {
    Setup::hello().from("10.0.0.1:1234").proxied("10.0.0.0/8")
}

#[test]
fn a_balancer_that_says_nothing_is_closed_at_the_limit() {
    for setup in [behind_balancer(), behind_balancer().tls()] {
        setup.run(async |host| {
            let mut peer = host.dial();
            let drip = async {
                for octet in &HEADER.as_bytes()[..5] {
                    sleep(millis(900)).await;
                    peer.send([*octet]).await;
                }
                peer.ending().await
            };
            assert_eq!(at(secs(5), drip).await, Ending::Closed);
            host.closed(&peer, Phase::Proxy, Reason::ProxyTimeout).await;
            assert_eq!(host.limits(Reason::ProxyTimeout), 1);
        });
    }
}

#[test]
fn the_hello_and_the_header_have_clocks_of_their_own() {
    behind_balancer().tls().run(async |host| {
        let mut peer = host.dial();
        sleep(millis(4_900)).await;
        peer.send(HEADER).await;
        assert_eq!(at(secs(5), peer.ending()).await, Ending::Closed);
        host.closed(&peer, Phase::Hello, Reason::TlsHelloTimeout).await;
    });
    behind_balancer().run(async |host| {
        let mut peer = host.dial();
        sleep(millis(4_900)).await;
        peer.send(HEADER).await;
        assert_eq!(at(secs(10), peer.ending()).await, Ending::Closed);
        host.closed(&peer, Phase::Header, Reason::HeaderTimeout).await;
    });
}

#[test]
fn what_comes_behind_the_header_is_served_and_the_peer_is_the_one_it_names() {
    behind_balancer().run(async |host| {
        let mut peer = host.dial();
        peer.send(format!("{HEADER}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(peer.answer().await.text(), "hello");
        let record = host.ended().pop().unwrap();
        let facts = &record.connection;
        assert_eq!((&*facts.peer.ip, facts.peer.port, facts.proxied), ("192.0.2.1", 4711, true));
    });
    behind_balancer().tls().run(async |host| {
        let mut peer = host.dial();
        peer.send(HEADER).await;
        let mut peer = host.shake_hands(peer).await;
        peer.get("/").await;
        assert_eq!(peer.answer().await.text(), "hello");
    });
}

#[test]
fn a_header_that_is_malformed_or_not_believed_closes_at_once() {
    for (setup, header) in [
        (behind_balancer(), "GET / HTTP/1.1\r\n"),
        (behind_balancer().tls(), "PROXY TCP4 192.0.2.1\r\n"),
        (behind_balancer().from("192.0.2.9:1"), ""),
    ] {
        setup.run(async |host| {
            let mut peer = host.dial();
            peer.send(header).await;
            assert_eq!(at(secs(0), peer.ending()).await, Ending::Closed);
            host.closed(&peer, Phase::Proxy, Reason::ProxyInvalid).await;
            assert_eq!(host.limits(Reason::ProxyInvalid), 1);
        });
    }
}

#[test]
fn addresses_are_counted_as_the_header_names_them() {
    behind_balancer().set("max_connections_per_ip", "1").run(async |host| {
        let mut first = host.dial();
        first.send(HEADER).await;
        let mut other = host.dial();
        other.send(HEADER.replace("192.0.2.1", "192.0.2.7")).await;
        let mut again = host.dial();
        again.send(HEADER).await;
        assert_eq!(again.ending().await, Ending::Closed);
        host.closed(&again, Phase::Proxy, Reason::AcceptPerIp).await;
        for peer in [&mut first, &mut other] {
            peer.get("/").await;
            assert_eq!(peer.answer().await.status, 200);
        }
    });
}
