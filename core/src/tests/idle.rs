//! The idle phase: between requests.

use tokio::time::{Instant, sleep};

use super::peer::{Ending, after, at, millis, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;

#[test]
fn an_idle_connection_is_closed_at_the_limit() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            peer.answer().await;
            assert_eq!(at(secs(75), peer.ending()).await, Ending::Closed);
            let record = host.closed(&peer, Phase::Idle, Reason::IdleTimeout).await;
            assert!(record.times[Phase::Idle.id()] >= secs(75));
            assert_eq!(host.limits(Reason::IdleTimeout), 1);
            assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        });
    }
}

#[test]
fn each_request_starts_the_clock_anew() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        for _ in 0..3 {
            peer.get("/").await;
            peer.answer().await;
            sleep(millis(74_990)).await;
        }
        peer.get("/").await;
        peer.answer().await;
        assert_eq!(at(secs(75), peer.ending()).await, Ending::Closed);
    });
}

#[test]
fn the_clock_starts_when_the_answer_was_taken() {
    // One answer fills the network, so that the peer's reading is what takes it.
    Setup::hello().capacity(64).set("idle_timeout", "5s").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        sleep(secs(10)).await;
        assert_eq!(host.phase(&peer), Phase::Flush);
        let taken = Instant::now();
        peer.answer().await;
        assert_eq!(after(taken, secs(5), peer.ending()).await, Ending::Closed);
        host.closed(&peer, Phase::Idle, Reason::IdleTimeout).await;
    });
}

#[test]
fn a_peer_may_leave_at_rest_without_close_notify() {
    Setup::hello().tls().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        peer.answer().await;
        let id = peer.id;
        drop(peer);
        host.closed_id(id, Phase::Idle, Reason::PeerClosed).await;
        let mut peer = host.connect().await;
        peer.get("/").await;
        peer.answer().await;
        let id = peer.id;
        peer.reset();
        host.closed_id(id, Phase::Idle, Reason::PeerReset).await;
    });
}

#[test]
fn an_idle_connection_retires_at_its_age() {
    Setup::hello().set("max_connection_age", "20s").run(async |host| {
        let mut peer = host.connect().await;
        let born = Instant::now();
        peer.get("/").await;
        peer.answer().await;
        assert_eq!(peer.ending().await, Ending::Closed);
        assert!((secs(18)..=millis(22_110)).contains(&born.elapsed()));
        host.closed(&peer, Phase::Idle, Reason::Age).await;
    });
}

#[test]
fn a_busy_connection_retires_after_an_hour_unless_the_age_is_off() {
    for age in ["1h", "off"] {
        Setup::hello().set("max_connection_age", age).run(async |host| {
            let mut peer = host.connect().await;
            let born = Instant::now();
            while born.elapsed() < secs(2 * 3_600)
                && peer.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok()
            {
                assert_eq!(peer.answer().await.text(), "hello");
                sleep(secs(60)).await;
            }
            if age == "off" {
                assert_eq!((host.limits(Reason::Age), host.phase(&peer)), (0, Phase::Idle));
            } else {
                // A tenth more or less, and the next request finds nobody.
                assert!((secs(54 * 60)..=secs(67 * 60)).contains(&born.elapsed()), "{:?}", born.elapsed());
                host.closed(&peer, Phase::Idle, Reason::Age).await;
            }
        });
    }
}

#[test]
fn the_last_answer_that_is_allowed_says_close() {
    Setup::hello().set("max_requests_per_connection", "2").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        assert!(!peer.answer().await.closes());
        peer.get("/").await;
        assert!(peer.answer().await.closes());
        assert_eq!(peer.ending().await, Ending::Closed);
        let record = host.closed(&peer, Phase::Handler, Reason::Requests).await;
        assert_eq!((record.requests, host.limits(Reason::Requests)), (2, 1));
    });
}

#[test]
fn a_request_that_outlives_the_age_is_the_last() {
    Setup::kept().set("max_connection_age", "20s").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        sleep(secs(25)).await;
        assert_eq!(request.cancelled(), None);
        hello(&request);
        assert!(peer.answer().await.closes());
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Handler, Reason::Age).await;
        assert_eq!(host.limits(Reason::Age), 1);
    });
}
