//! Rows whose phase is tested on their defaults: with another value the edge moves along. With the tests of the phases, each row
//! acts as its default in none without a test that fails (`make mutate`).

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::h2::{
    CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, NO_ERROR, PING, PREFACE, Raw,
    SETTINGS_TIMEOUT, WINDOW_UPDATE, block, frame,
};
use super::peer::{Ending, after, at, millis, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;

#[test]
fn the_proxy_header_has_the_time_that_was_set() {
    let setup = Setup::hello().from("10.0.0.1:1234").proxied("10.0.0.0/8");
    setup.set("proxy_header_timeout", "2s").run(async |host| {
        let mut peer = host.dial();
        assert_eq!(at(secs(2), peer.ending()).await, Ending::Closed);
        host.closed(&peer, Phase::Proxy, Reason::ProxyTimeout).await;
    });
}

#[test]
fn without_http2_its_preface_is_a_request_like_any_other() {
    Setup::hello().set("http2", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(PREFACE).await;
        assert_eq!(peer.answer().await.status, 505);
    });
    Setup::hello().set("http2", "on").run(async |host| {
        Raw::open(host).await.get(1, "/").await;
    });
}

#[test]
fn the_opening_has_the_times_that_were_set() {
    Setup::hello().set("h2_preface_timeout", "2s").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(PREFACE).await;
        at(secs(2), peer.rest()).await;
        host.closed(&peer, Phase::Opening, Reason::H2PrefaceTimeout).await;
    });
    Setup::hello().set("h2_settings_timeout", "3s").run(async |host| {
        let mut raw = Raw::begin(host, &[]).await;
        assert_eq!(at(secs(3), raw.goaway()).await, (0, SETTINGS_TIMEOUT));
    });
}

#[test]
fn exactly_as_many_crumbs_as_the_cap_pass() {
    Setup::hello().set("max_cookie_fields", "3").run(async |host| {
        let mut raw = Raw::open(host).await;
        for (stream, crumbs, status) in [(1, 3, 200), (3, 4, 431)] {
            let fields = vec![("cookie", "a=b"); crumbs];
            let block = block("GET", "/", &fields);
            raw.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await;
            assert_eq!(raw.head(stream).await.0, status, "{crumbs} crumbs");
        }
    });
}

#[test]
fn the_credit_of_a_rate_is_what_was_set() {
    Setup::hello().set("min_rate_grace", "3s").run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
        let drip = async {
            loop {
                sleep(millis(900)).await;
                if peer.try_send("x").await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(secs(4), drip).await;
        let answer = peer.answer().await;
        assert_eq!(answer.status, 408);
        let record = host.closed(&peer, Phase::Linger, Reason::BodyRate).await;
        let spent = record.times[Phase::Body.id()];
        assert!((secs(3)..secs(3) + millis(150)).contains(&spent), "{spent:?}");
    });
}

#[test]
fn a_rest_that_nobody_wants_is_drained_for_the_time_that_was_set() {
    Setup::hello().set("linger_timeout", "5s").run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        let began = Instant::now();
        assert!(peer.answer().await.closes());
        assert_eq!(peer.ending().await, Ending::Closed);
        after(began, secs(5), host.closed(&peer, Phase::Linger, Reason::Complete)).await;
    });
    Setup::hello().set("linger_timeout", "5s").set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        let began = Instant::now();
        raw.post(1, &[]).await;
        assert_eq!(raw.answer(1).await.0, 200);
        assert_eq!(after(began, secs(5), raw.reset(1)).await, NO_ERROR);
    });
}

#[test]
fn glitches_within_the_budget_are_forgiven_and_beyond_it_they_are_the_end() {
    Setup::hello().set("h2_glitch_budget", "20").run(async |host| {
        let mut raw = Raw::open(host).await;
        let pings = |count: usize| frame(PING, 0, 0, &[0; 8]).repeat(count);
        raw.send(pings(12)).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        raw.send(pings(5)).await;
        assert_eq!(raw.goaway().await.1, NO_ERROR);
        raw.send(pings(6)).await;
        // The PING of a graceful end may have gone in between.
        let last = match raw.next_on(0).await {
            next if next.kind == PING => raw.goaway().await.1,
            next => next.code(),
        };
        assert_eq!(last, ENHANCE_YOUR_CALM);
        assert!(host.limits(Reason::H2Glitches) >= 1);
    });
}

#[test]
fn a_tail_has_the_time_that_was_set() {
    let tail = |octets: usize| {
        Setup::inline(move |request| {
            request.respond(200, [], Body::Owned(Bytes::from(vec![7; octets]))).unwrap();
        })
        .set("flush_timeout", "4s")
    };
    tail(20_000).capacity(1_024).run(async |host| {
        let mut peer = host.connect().await;
        // Just in time.
        peer.get("/").await;
        sleep(millis(3_990)).await;
        assert_eq!(peer.answer().await.content.len(), 20_000);
        peer.get("/").await;
        at(secs(4), host.closed(&peer, Phase::Flush, Reason::FlushTimeout)).await;
        assert_eq!(peer.rest().await.1, Ending::Reset);
    });
    tail(1_000).run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        sleep(millis(3_900)).await;
        raw.send(frame(WINDOW_UPDATE, 0, 1, &1_000_u32.to_be_bytes())).await;
        assert_eq!(raw.next_on(1).await.kind, DATA);
        raw.get(3, "/").await;
        assert_eq!(raw.head(3).await, (200, false));
        assert_eq!(at(secs(4), raw.reset(3)).await, CANCEL);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete), (200, Reason::FlushTimeout)]);
    });
}

#[test]
fn the_credit_of_a_stream_is_what_was_set() {
    Setup::kept().set("min_rate_grace", "3s").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "1000")]).await;
        let drip = async {
            for _ in 0..3 {
                sleep(millis(900)).await;
                raw.send(frame(DATA, 0, 1, &[7; 1])).await;
            }
            raw.head(1).await
        };
        assert_eq!(at(secs(3), drip).await, (408, true));
        assert_eq!(host.outcomes(), [(408, Reason::BodyRate)]);
    });
    Setup::kept().set("min_rate_grace", "3s").capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let began = Instant::now();
        let request = host.request().await;
        request.respond(200, [], Body::Owned(Bytes::from(vec![7; 1_000_000]))).unwrap();
        after(began, secs(3), host.closed(&peer, Phase::Response, Reason::WriteRate)).await;
    });
}

#[test]
fn streams_beyond_the_handlers_that_may_run_are_answered_503() {
    Setup::kept().set("max_running_handlers", "2").run(async |host| {
        let mut raw = Raw::open(host).await;
        let mut kept = Vec::new();
        for stream in [1, 3] {
            raw.get(stream, "/").await;
            kept.push(host.request().await);
        }
        raw.get(5, "/").await;
        assert_eq!(raw.head(5).await, (503, true));
        assert_eq!(host.outcomes(), [(503, Reason::HandlerCapacity)]);
        drop(kept.pop());
        assert_eq!(raw.head(3).await.0, 500);
        raw.get(7, "/").await;
        hello(&host.request().await);
        assert_eq!(raw.answer(7).await.0, 200);
        assert_eq!(host.limits(Reason::HandlerCapacity), 1);
    });
}
