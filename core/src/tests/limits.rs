//! Limits that a handler moves for its live request (level Q): counted on the phase's own clock, from its start.

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::h2::Raw;
use super::peer::{after, at, secs};
use super::support::{Setup, hello, read_all, read_some};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, RequestError};

const UPLOAD: &str = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";

#[test]
fn the_handler_limit_is_tightened_and_extended() {
    for (moved_at, to, strikes_at) in [(0, 5, 5), (20, 60, 60), (20, 25, 25), (20, 10, 20)] {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let began = Instant::now();
            let request = host.request().await;
            sleep(secs(moved_at)).await;
            request.set_limit("handler_timeout", to * 1_000).unwrap();
            assert_eq!(after(began, secs(strikes_at), peer.answer()).await.status, 504);
        });
    }
}

#[test]
fn the_handler_limit_is_moved_inside_the_callback() {
    let (keep, kept) = std::sync::mpsc::channel();
    let setup = Setup::inline(move |request| {
        request.set_limit_text("handler_timeout", "2s").unwrap();
        let _ = keep.send(request);
    });
    setup.run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        assert_eq!(at(secs(2), peer.answer()).await.status, 504);
        drop(kept);
    });
}

#[test]
fn a_limit_that_is_switched_off_never_strikes() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.set_limit_text("handler_timeout", "off").unwrap();
        assert_eq!(request.remaining("handler_timeout"), Ok(None));
        sleep(secs(3_000)).await;
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
        // The next request has the settings of the server again.
        peer.get("/").await;
        assert_eq!(at(secs(30), peer.answer()).await.status, 504);
    });
}

#[test]
fn the_limits_of_content_are_moved_while_it_is_awaited() {
    Setup::kept().set("min_body_rate", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        let move_it = async {
            sleep(secs(10)).await;
            request.set_limit("body_idle_timeout", 40_000).unwrap();
        };
        let (failed, ()) = tokio::join!(at(secs(40), read_some(&request)), move_it);
        assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyIdle)));
        assert_eq!(peer.answer().await.status, 408);

        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        request.set_limit("body_timeout", 3_000).unwrap();
        assert_eq!(at(secs(3), read_some(&request)).await, Err(RequestError::Cancelled(Reason::BodyTimeout)));
    });
}

#[test]
fn the_limits_of_the_answer_are_moved_while_it_waits() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let began = Instant::now();
        request.respond(200, [], Body::Owned(Bytes::from(vec![b'x'; 1_000_000]))).unwrap();
        sleep(secs(1)).await;
        request.set_limit("write_idle_timeout", 5_000).unwrap();
        after(began, secs(5), host.closed(&peer, Phase::Response, Reason::WriteIdle)).await;
    });
}

#[test]
fn the_cap_on_content_is_lowered_for_one_request() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n")
            .await;
        let request = host.request().await;
        request.set_limit("max_body_bytes", 4).unwrap();
        assert_eq!(read_all(&request).await, Err(RequestError::TooLarge));
        assert_eq!(peer.answer().await.status, 413);
    });
}

#[test]
fn what_is_no_limit_of_a_request_or_out_of_range_changes_nothing() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        assert!(matches!(request.set_limit("idle_timeout", 1_000), Err(RequestError::Option(_))));
        assert!(matches!(request.set_limit("handler_timeuot", 1_000), Err(RequestError::Option(_))));
        assert!(matches!(request.set_limit("handler_timeout", 1), Err(RequestError::Value(_))));
        assert_eq!(at(secs(30), peer.answer()).await.status, 504);
        let late = request.set_limit("handler_timeout", 60_000);
        assert_eq!(late, Err(RequestError::Cancelled(Reason::HandlerTimeout)));
    });
}

#[test]
fn the_rates_and_their_grace_are_moved() {
    Setup::kept().set("body_idle_timeout", "off").set("min_body_rate", "off").run(async |host| {
        for (rate, grace, strikes_at) in [("1KiB/s", "20s", 20), ("1KiB/s", "5s", 5)] {
            let mut peer = host.connect().await;
            peer.send(UPLOAD).await;
            let request = host.request().await;
            request.set_limit_text("min_body_rate", rate).unwrap();
            request.set_limit_text("min_rate_grace", grace).unwrap();
            let failed = at(secs(strikes_at), read_some(&request)).await;
            assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyRate)));
        }
    });
    let slow = Setup::kept().capacity(4_096).set("write_idle_timeout", "off").set("min_write_rate", "off");
    slow.run(async |host| {
        let body = || Body::Owned(Bytes::from(vec![b'x'; 1_000_000]));
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.set_limit_text("min_write_rate", "1KiB/s").unwrap();
        request.set_limit_text("min_rate_grace", "5s").unwrap();
        let began = Instant::now();
        request.respond(200, [], body()).unwrap();
        // What the network took at once has bought four seconds of no more than five.
        after(began, secs(5), host.closed(&peer, Phase::Response, Reason::WriteRate)).await;

        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.set_limit_text("response_timeout", "7s").unwrap();
        let began = Instant::now();
        request.respond(200, [], body()).unwrap();
        after(began, secs(7), host.closed(&peer, Phase::Response, Reason::WriteTimeout)).await;
    });
}

#[test]
fn the_limits_of_a_stream_are_its_own() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let (quick, began) = (host.request().await, Instant::now());
        quick.set_limit_text("handler_timeout", "2s").unwrap();
        raw.get(3, "/").await;
        let off = host.request().await;
        off.set_limit_text("handler_timeout", "off").unwrap();
        raw.post(5, &[]).await;
        let upload = host.request().await;
        upload.set_limit_text("body_idle_timeout", "4s").unwrap();
        let _ = upload.peek();
        assert_eq!(after(began, secs(2), raw.head(1)).await.0, 504);
        assert_eq!(after(began, secs(4), raw.head(5)).await.0, 408);
        sleep(secs(60)).await;
        hello(&off);
        assert_eq!(raw.answer(3).await.0, 200);
    });
}
