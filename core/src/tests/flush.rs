//! The flush phase: the last octet of an answer is queued, and not taken.

use tokio::time::{Instant, sleep};

use super::peer::{Ending, after, at, millis, secs};
use super::support::Setup;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;

/// Answers with more than the network holds, and less than the connection does.
fn tail() -> Setup {
    Setup::inline(|request| request.respond(200, [], Body::Copied(&[b'x'; 20_000])).unwrap()).capacity(1_024)
}

#[test]
fn a_tail_that_is_not_taken_is_reset_at_the_limit() {
    for setup in [tail(), tail().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            host.turn().await;
            assert_eq!(host.phase(&peer), Phase::Flush);
            let record = at(millis(14_999), host.closed(&peer, Phase::Flush, Reason::FlushTimeout)).await;
            assert!(record.times[Phase::Flush.id()] >= secs(15));
            assert_eq!(peer.rest().await.1, Ending::Reset);
            assert_eq!(host.limits(Reason::FlushTimeout), 1);
            assert_eq!(host.outcomes(), [(200, Reason::FlushTimeout)]);
        });
    }
}

#[test]
fn a_drip_does_not_extend_the_clock() {
    tail().run(async |host| {
        let mut peer = host.connect().await;
        let began = Instant::now();
        peer.get("/").await;
        for _ in 0..14 {
            sleep(secs(1)).await;
            peer.take(100).await;
        }
        after(began, secs(15), host.closed(&peer, Phase::Flush, Reason::FlushTimeout)).await;
    });
}

#[test]
fn pipelined_requests_do_not_extend_the_clock() {
    Setup::hello().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.send(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(120)).await;
        at(secs(15), host.closed(&peer, Phase::Flush, Reason::FlushTimeout)).await;
        assert_eq!(peer.rest().await.1, Ending::Reset);
    });
}

#[test]
fn a_tail_that_is_taken_just_before_the_limit_is_complete() {
    tail().run(async |host| {
        let mut peer = host.connect().await;
        for _ in 0..2 {
            peer.get("/").await;
            sleep(millis(14_990)).await;
            let answer = peer.answer().await;
            assert_eq!((answer.content.len(), answer.closes()), (20_000, false));
        }
        host.turn().await;
        assert_eq!(host.phase(&peer), Phase::Idle);
        assert_eq!(host.outcomes(), [(200, Reason::Complete); 2]);
        assert!(host.ended()[0].times[Phase::Flush.id()] >= secs(14));
    });
}

#[test]
fn a_refusal_that_is_not_taken_is_bounded_too() {
    Setup::hello().capacity(16).run(async |host| {
        let mut peer = host.connect().await;
        peer.send("nonsense\r\n\r\n").await;
        at(secs(15), host.closed(&peer, Phase::Flush, Reason::FlushTimeout)).await;
        assert_eq!(peer.rest().await.1, Ending::Reset);
    });
}
