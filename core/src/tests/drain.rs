//! The drain: from the shutdown call until everything is closed.

use tokio::time::{Instant, sleep};

use super::peer::{Ending, after, at, millis, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, RequestError};

#[test]
fn idle_connections_close_at_once() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut idle = host.connect().await;
            idle.get("/").await;
            idle.answer().await;
            let mut fresh = host.connect().await;
            host.turn().await;
            host.server.shutdown(Some(secs(10)));
            assert_eq!(idle.ending().await, Ending::Closed);
            assert_eq!(fresh.ending().await, Ending::Closed);
            host.closed(&idle, Phase::Idle, Reason::Drain).await;
            host.closed(&fresh, Phase::Header, Reason::Drain).await;
            assert_eq!(host.limits(Reason::Drain), 0, "a drain is no limit");
        });
    }
}

#[test]
fn a_handshake_closes_at_once() {
    Setup::hello().tls().run(async |host| {
        let mut silent = host.dial();
        let mut shaking = host.dial();
        shaking.send(host.client_hello()).await;
        host.turn().await;
        host.server.shutdown(Some(secs(10)));
        assert_eq!(silent.ending().await, Ending::Closed);
        shaking.rest().await;
        host.closed(&silent, Phase::Hello, Reason::Drain).await;
        host.closed(&shaking, Phase::Handshake, Reason::Drain).await;
    });
}

#[test]
fn who_has_not_opened_yet_is_closed_at_once() {
    Setup::hello().from("10.0.0.1:1234").proxied("10.0.0.0/8").run(async |host| {
        let mut peer = host.dial();
        peer.send("PROXY TCP4").await;
        host.turn().await;
        host.server.shutdown(Some(secs(10)));
        assert_eq!(at(secs(0), peer.rest()).await.1, Ending::Closed);
        host.closed(&peer, Phase::Proxy, Reason::Drain).await;
    });
    for octets in ["PRI * HTTP", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        Setup::hello().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(octets).await;
            host.turn().await;
            host.server.shutdown(Some(secs(10)));
            assert_eq!(at(secs(0), peer.rest()).await.1, Ending::Closed, "{octets}");
            host.closed(&peer, Phase::Opening, Reason::Drain).await;
        });
    }
}

#[test]
fn what_is_in_flight_completes_and_closes() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut waiting = host.connect().await;
            waiting.get("/").await;
            let request = host.request().await;
            let mut begun = host.connect().await;
            begun.get("/").await;
            let streamed = host.request().await;
            streamed.begin(200, [], None).unwrap();
            let mut dripping = host.connect().await;
            dripping.send("GET / HTTP/1.1\r\n").await;
            host.turn().await;

            host.server.shutdown(Some(secs(10)));
            sleep(secs(5)).await;
            assert_eq!((request.cancelled(), streamed.cancelled()), (None, None));
            hello(&request);
            assert!(waiting.answer().await.closes());
            assert_eq!(waiting.ending().await, Ending::Closed);
            host.closed(&waiting, Phase::Handler, Reason::Drain).await;

            streamed.write(b"the rest", Some(secs(0))).unwrap();
            streamed.finish([]).unwrap();
            assert_eq!(begun.answer().await.text(), "the rest");
            assert_eq!(begun.ending().await, Ending::Closed);

            dripping.send("Host: a\r\n\r\n").await;
            hello(&host.request().await);
            assert!(dripping.answer().await.closes());
            assert_eq!(dripping.ending().await, Ending::Closed);
            assert_eq!(host.outcomes(), [(200, Reason::Complete); 3]);
        });
    }
}

#[test]
fn what_is_left_at_the_deadline_is_cancelled_and_reset() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            let mut dripping = host.connect().await;
            dripping.send("GET / HTTP/1.1\r\n").await;
            host.turn().await;
            let began = Instant::now();
            host.server.shutdown(Some(secs(5)));
            assert_eq!(after(began, secs(5), peer.ending()).await, Ending::Reset);
            assert_eq!(
                request.respond(200, [], Body::Copied(b"")),
                Err(RequestError::Cancelled(Reason::Drain))
            );
            host.closed(&peer, Phase::Handler, Reason::Drain).await;
            assert_eq!(dripping.ending().await, Ending::Reset);
            host.closed(&dripping, Phase::Header, Reason::Drain).await;
            assert_eq!(host.outcomes(), [(0, Reason::Drain)]);
        });
    }
}

#[test]
fn a_request_on_its_way_is_served() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            assert!(!peer.answer().await.closes());
            host.turn().await;
            assert_eq!(host.phase(&peer), Phase::Idle);
            peer.get("/").await;
            host.server.shutdown(Some(secs(10)));
            assert!(peer.answer().await.closes());
            assert_eq!(peer.ending().await, Ending::Closed);
        });
    }
}

#[test]
fn a_second_call_with_less_means_sooner() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let _request = host.request().await;
        host.server.shutdown(None);
        sleep(secs(1)).await;
        host.server.shutdown(Some(secs(2)));
        assert_eq!(at(secs(2), peer.ending()).await, Ending::Reset);
    });
}

#[test]
fn a_stop_cuts_at_once() {
    Setup::kept().run(async |host| {
        let mut idle = host.connect().await;
        idle.get("/").await;
        hello(&host.request().await);
        idle.answer().await;
        let mut busy = host.connect().await;
        busy.get("/").await;
        let request = host.request().await;
        host.server.shutdown(Some(secs(0)));
        assert_eq!(at(secs(0), busy.ending()).await, Ending::Reset);
        assert_eq!(idle.ending().await, Ending::Closed);
        assert_eq!(request.cancelled(), Some(Reason::ProgramStop));
        host.closed(&busy, Phase::Handler, Reason::ProgramStop).await;
        host.closed(&idle, Phase::Idle, Reason::ProgramStop).await;
        assert_eq!(host.limits(Reason::ProgramStop), 0);
    });
}

#[test]
fn who_was_accepted_in_the_drain_is_closed() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\n").await;
        host.turn().await;
        host.server.shutdown(Some(secs(10)));
        let mut newcomer = host.dial();
        assert_eq!(newcomer.ending().await, Ending::Closed);
        host.closed(&newcomer, Phase::Header, Reason::Drain).await;
    });
}

#[test]
fn a_call_that_names_no_time_has_that_of_the_settings() {
    Setup::kept().set("drain_timeout", "7s").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let mut other = host.connect().await;
        other.get("/").await;
        let answered = host.request().await;
        host.server.shutdown(None);
        let just_in_time = async {
            sleep(millis(6_990)).await;
            hello(&answered);
            assert!(other.answer().await.closes());
            assert_eq!(other.ending().await, Ending::Closed);
        };
        let (ending, ()) = tokio::join!(at(secs(7), peer.ending()), just_in_time);
        assert_eq!(ending, Ending::Reset);
        assert_eq!(request.cancelled(), Some(Reason::Drain));
    });
}
