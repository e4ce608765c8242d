//! The peer's end while a request runs: FIN, close_notify, neither, reset.

use super::peer::{Ending, secs};
use super::support::{Setup, hello, read_all};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, RequestError};

#[test]
fn an_answer_behind_the_peers_end_is_still_sent() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            assert_eq!(request.cancelled(), None);
            peer.finish().await;
            host.turn().await;
            assert_eq!(request.cancelled(), Some(Reason::PeerClosed));
            tokio::time::sleep(secs(20)).await;
            hello(&request);
            let answer = peer.answer().await;
            assert_eq!((answer.text(), answer.closes()), ("hello", true));
            assert_eq!(peer.ending().await, Ending::Closed);
            host.closed(&peer, Phase::Handler, Reason::PeerClosed).await;
            assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        });
    }
}

#[test]
fn a_peer_that_is_gone_cancels_and_then_fails_the_answer() {
    for (setup, told) in [(Setup::kept(), Reason::PeerClosed), (Setup::kept().tls(), Reason::PeerClosed)] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            let id = peer.id;
            drop(peer);
            host.turn().await;
            assert_eq!(request.cancelled(), Some(told));
            hello(&request);
            host.closed_id(id, Phase::Handler, Reason::PeerReset).await;
            assert_eq!(request.exchange().outcome().unwrap().reason, Reason::PeerReset);
        });
    }
}

#[test]
fn a_reset_ends_the_exchange() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            let id = peer.id;
            peer.reset();
            host.closed_id(id, Phase::Handler, Reason::PeerReset).await;
            assert_eq!(
                request.respond(200, [], Body::Copied(b"")),
                Err(RequestError::Cancelled(Reason::PeerReset))
            );
            assert_eq!(host.outcomes(), [(0, Reason::PeerReset)]);
        });
    }
}

#[test]
fn a_message_that_is_cut_is_never_complete() {
    for (framing, cut) in
        [("Content-Length: 1000000", "some"), ("Transfer-Encoding: chunked", "4\r\nsome\r\n")]
    {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{cut}")).await;
            let request = host.request().await;
            peer.finish().await;
            assert_eq!(read_all(&request).await, Err(RequestError::Cancelled(Reason::PeerClosed)));
            hello(&request);
            assert_eq!(peer.answer().await.text(), "hello");
            assert_eq!(peer.ending().await, Ending::Closed);
        });
        Setup::kept().tls().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{cut}")).await;
            let request = host.request().await;
            // FIN without close_notify.
            drop(peer);
            assert_eq!(read_all(&request).await, Err(RequestError::Cancelled(Reason::TlsShutdown)));
        });
    }
}

#[test]
fn a_whole_message_in_front_of_the_end_is_complete() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.set("buffer_body_bytes", "0").run(async |host| {
            for message in
                ["Content-Length: 4\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n"]
            {
                let mut peer = host.connect().await;
                peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{message}")).await;
                peer.finish().await;
                let request = host.request().await;
                host.turn().await;
                assert_eq!(request.cancelled(), Some(Reason::PeerClosed));
                assert_eq!(read_all(&request).await.unwrap(), b"some", "{message}");
                hello(&request);
                assert_eq!(peer.answer().await.text(), "hello");
                assert_eq!(peer.ending().await, Ending::Closed);
            }
        });
    }
}

#[test]
fn whole_requests_in_front_of_the_end_are_answered() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/1").await;
        peer.get("/2").await;
        peer.finish().await;
        for target in [b"/1", b"/2"] {
            let request = host.request().await;
            host.turn().await;
            assert_eq!(request.exchange().head().target(), target);
            hello(&request);
            assert_eq!(peer.answer().await.text(), "hello");
        }
        assert_eq!(peer.ending().await, Ending::Closed);
    });
}

#[test]
fn answers_in_front_of_a_cut_request_arrive() {
    for cut in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome"] {
        Setup::hello().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{cut}")).await;
            peer.finish().await;
            assert_eq!(peer.answer().await.text(), "hello", "{cut}");
            assert_eq!(peer.ending().await, Ending::Closed);
        });
    }
}

#[test]
fn buffered_content_that_is_cut_ends_the_request() {
    for (setup, reason) in [(Setup::kept(), Reason::PeerClosed), (Setup::kept().tls(), Reason::TlsShutdown)] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome").await;
            host.turn().await;
            let id = peer.id;
            drop(peer);
            host.closed_id(id, Phase::Body, reason).await;
            assert_eq!(host.outcomes(), [(0, reason)]);
            assert!(!host.is_request_waiting());
        });
    }
}
