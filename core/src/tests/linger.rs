//! The linger phase: an early answer was sent while content is still coming.

use tokio::time::{Instant, sleep};

use super::peer::{Ending, after, millis, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;

const UPLOAD: &str = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";

#[test]
fn content_that_nobody_wants_is_drained_until_the_limit() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            let began = Instant::now();
            peer.send(UPLOAD).await;
            for _ in 0..9 {
                peer.send([b'x'; 1_000]).await;
                sleep(millis(200)).await;
            }
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.closes()), (200, true));
            assert_eq!(peer.ending().await, Ending::Closed);
            let record = after(began, secs(2), host.closed(&peer, Phase::Linger, Reason::Complete)).await;
            assert!(record.bytes_in > 9_000, "{}", record.bytes_in);
            assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        });
    }
}

#[test]
fn the_octets_that_are_drained_are_bounded() {
    Setup::hello().set("max_linger_bytes", "10KiB").run(async |host| {
        let mut peer = host.connect().await;
        let began = Instant::now();
        peer.send(UPLOAD).await;
        assert!(peer.answer().await.closes());
        peer.send([b'x'; 10 * 1024 - 1]).await;
        sleep(secs(1)).await;
        assert_eq!(host.phase(&peer), Phase::Linger);
        assert_eq!(peer.ending().await, Ending::Closed);
        peer.send([b'x'; 1]).await;
        after(began, secs(1), host.closed(&peer, Phase::Linger, Reason::Complete)).await;
    });
}

#[test]
fn a_peer_that_has_finished_is_not_waited_for() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send(UPLOAD).await;
            assert!(peer.answer().await.closes());
            let began = Instant::now();
            peer.finish().await;
            after(began, secs(0), host.closed(&peer, Phase::Linger, Reason::Complete)).await;
            assert_eq!(peer.ending().await, Ending::Closed);
        });
    }
}

#[test]
fn a_rest_that_has_come_already_keeps_the_connection_alive() {
    Setup::hello().set("buffer_body_bytes", "0").run(async |host| {
        let mut peer = host.connect().await;
        for _ in 0..2 {
            peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890").await;
            assert!(!peer.answer().await.closes());
        }
        assert_eq!(host.phase(&peer), Phase::Idle);
    });
}

#[test]
fn a_chunked_rest_that_has_come_already_keeps_the_connection_alive() {
    for (rest, lives) in
        [("3\r\nabc\r\n0\r\nX: y\r\n\r\n", true), ("3\r\nabc\r\n0\r\n", false), ("3\r\nabcd0\r\n\r\n", false)]
    {
        Setup::hello().run(async |host| {
            let mut peer = host.connect().await;
            let post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            peer.send(format!("{post}{rest}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert_eq!(peer.answer().await.closes(), !lives, "{rest}");
            host.turn().await;
            assert_eq!(
                host.outcomes().len(),
                if lives { 2 } else { 1 },
                "nothing behind a close is answered"
            );
            assert_eq!(host.phase(&peer) == Phase::Idle, lives);
        });
    }
}

#[test]
fn a_last_answer_is_not_destroyed_by_what_was_pipelined_behind_it() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        peer.send(request).await;
        let first = host.request().await;
        peer.send(request).await;
        host.turn().await;
        hello(&first);
        // Read one behind the other: in between the server closes over what it has not read.
        assert!(peer.answer().await.closes());
        peer.send(request).await;
        assert_eq!(peer.ending().await, Ending::Closed);
        peer.finish().await;
        host.closed(&peer, Phase::Linger, Reason::Complete).await;
        assert!(!host.is_request_waiting());
    });
}
