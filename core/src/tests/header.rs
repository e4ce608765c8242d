//! The header phase of HTTP/1: until the header section is complete.

use tokio::time::{Instant, sleep};

use super::peer::{Ending, after, at, millis, secs};
use super::support::Setup;
use crate::phase::Phase;
use crate::reason::Reason;

#[test]
fn a_peer_that_asks_nothing_is_closed_without_an_answer() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            assert_eq!(at(secs(10), peer.ending()).await, Ending::Closed);
            let record = host.closed(&peer, Phase::Header, Reason::HeaderTimeout).await;
            assert!(record.times[Phase::Header.id()] >= secs(10));
            assert_eq!((host.limits(Reason::HeaderTimeout), host.ended().len()), (1, 0));
        });
    }
}

#[test]
fn a_dripped_head_is_answered_408_at_the_limit() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            let drip = async {
                for octet in b"GET / HTT" {
                    peer.send([*octet]).await;
                    sleep(secs(1)).await;
                }
                peer.answer().await
            };
            let answer = at(secs(10), drip).await;
            assert_eq!((answer.status, answer.closes()), (408, true));
            assert_eq!(peer.ending().await, Ending::Closed);
            peer.finish().await;
            host.closed(&peer, Phase::Linger, Reason::HeaderTimeout).await;
            assert_eq!(host.limits(Reason::HeaderTimeout), 1);
            let record = host.ended().pop().unwrap();
            assert_eq!((record.status, record.reason, record.token), (408, Reason::HeaderTimeout, 0));
            assert!(record.times[Phase::Header.id()] >= secs(10));
            assert!(record.method.is_empty() && !host.is_request_waiting());
        });
    }
}

#[test]
fn a_head_that_is_complete_just_before_the_limit_is_served() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
        sleep(millis(9_990)).await;
        peer.send("\r\n").await;
        assert_eq!(peer.answer().await.text(), "hello");
        assert!(host.ended()[0].times[Phase::Header.id()] >= millis(9_990));
    });
}

#[test]
fn the_clock_of_a_later_request_starts_with_its_first_octet() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        peer.answer().await;
        sleep(secs(60)).await;
        peer.send("G").await;
        assert_eq!(at(secs(10), peer.answer()).await.status, 408);
        assert_eq!(host.outcomes(), [(200, Reason::Complete), (408, Reason::HeaderTimeout)]);
        assert!(host.ended()[1].times[Phase::Header.id()] < secs(11));
    });
}

#[test]
fn the_clock_of_a_pipelined_head_starts_when_it_is_its_turn() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2").await;
        let first = host.request().await;
        sleep(secs(20)).await;
        super::support::hello(&first);
        let answered = Instant::now();
        assert_eq!(peer.answer().await.status, 200);
        assert_eq!(after(answered, secs(10), peer.answer()).await.status, 408);
    });
}

#[test]
fn a_refused_head_is_never_delivered_and_nothing_behind_it_is_answered() {
    for (head, status, reason) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, Reason::HeaderPolicy),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, Reason::HeaderPolicy),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason::HeaderSyntax),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, Reason::HeaderPolicy),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, Reason::HeaderPolicy),
        ("GET / HTTP/1.0\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, Reason::HeaderPolicy),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, Reason::HeaderPolicy),
    ] {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(format!("{head}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.closes()), (status, true), "{head}");
            assert_eq!(peer.ending().await, Ending::Closed);
            peer.finish().await;
            host.closed(&peer, Phase::Linger, reason).await;
            assert!(!host.is_request_waiting());
            assert_eq!(host.outcomes(), [(status, reason)]);
            assert_eq!(host.limits(reason), 1);
        });
    }
}

#[test]
fn a_refused_head_request_gets_no_content() {
    for (head, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n", 400),
        ("\r\nHEAD / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
        ("HEAD /far/too/long HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n", 408),
        ("GET / HTTP/1.1\r\n\r\n", 400),
    ] {
        Setup::kept().set("max_target_bytes", "8").run(async |host| {
            let mut peer = host.connect().await;
            peer.send(head).await;
            let (octets, _) = peer.rest().await;
            let answer = String::from_utf8(octets).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), !head.starts_with("GET"), "{head}: {answer}");
        });
    }
}

#[test]
fn a_peer_that_leaves_in_the_middle_of_a_head_is_told_nothing() {
    for (setup, reason) in [(Setup::hello(), Reason::PeerClosed), (Setup::hello().tls(), Reason::PeerClosed)]
    {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send("GET / HTTP/1.1\r\nHo").await;
            peer.finish().await;
            assert_eq!(peer.ending().await, Ending::Closed);
            host.closed(&peer, Phase::Header, reason).await;
            assert!(host.ended().is_empty());
        });
    }
}

#[test]
fn a_head_cut_without_close_notify_is_a_shutdown() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\nHo").await;
        host.turn().await;
        let id = peer.id;
        drop(peer);
        host.closed_id(id, Phase::Header, Reason::TlsShutdown).await;
    });
}
