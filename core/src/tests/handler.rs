//! The handler phase of HTTP/1: from dispatch until the program hands over a response head.

use tokio::time::sleep;

use super::peer::{Ending, at, millis, secs};
use super::support::{Setup, hello, read_all, read_some};
use crate::exchange::Failure;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, RequestError};

const TIMED_OUT: RequestError = RequestError::Cancelled(Reason::HandlerTimeout);

#[test]
fn a_program_that_does_not_answer_is_answered_for() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let answer = at(secs(30), peer.answer()).await;
            assert_eq!((answer.status, answer.closes()), (504, false));
            let late = host.request().await;
            assert_eq!(late.cancelled(), Some(Reason::HandlerTimeout));
            assert_eq!(late.respond(200, [], Body::Copied(b"late")), Err(TIMED_OUT));
            assert_eq!(host.limits(Reason::HandlerTimeout), 1);
            let record = host.ended().pop().unwrap();
            assert_eq!((record.status, record.reason), (504, Reason::HandlerTimeout));
            assert!(record.times[Phase::Handler.id()] >= secs(30));
            // The callback cannot be stopped: it keeps its slot, and the connection goes on without it.
            assert_eq!(host.server.snapshot().handlers_running, 1);
            peer.get("/2").await;
            let second = host.request().await;
            assert_eq!(host.server.snapshot().handlers_running, 2);
            hello(&second);
            assert_eq!(peer.answer().await.text(), "hello");
            drop((late, second));
            assert_eq!(host.server.snapshot().handlers_running, 0);
        });
    }
}

#[test]
fn an_answer_just_before_the_limit_is_sent() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        sleep(millis(29_990)).await;
        hello(&request);
        assert_eq!(peer.answer().await.text(), "hello");
        assert_eq!(host.limits(Reason::HandlerTimeout), 0);
    });
}

#[test]
fn a_504_over_unread_content_closes() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome").await;
        let answer = at(secs(30), peer.answer()).await;
        assert_eq!((answer.status, answer.closes()), (504, true));
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Linger, Reason::HandlerTimeout).await;
    });
}

#[test]
fn the_clock_stands_while_content_is_awaited() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let request = host.request().await;
        sleep(secs(10)).await;
        for _ in 0..4 {
            let (content, ()) = tokio::join!(read_some(&request), async {
                sleep(secs(14)).await;
                peer.send(format!("1000\r\n{}\r\n", "x".repeat(4096))).await;
            });
            assert_eq!(content.unwrap().len(), 4096);
        }
        peer.send("0\r\n\r\n").await;
        read_all(&request).await.unwrap();
        // Ten of the thirty seconds are spent.
        assert_eq!(request.remaining("handler_timeout").unwrap().unwrap().as_secs(), 20);
        assert_eq!(at(secs(20), peer.answer()).await.status, 504);
    });
}

#[test]
fn a_limit_that_is_off_never_strikes() {
    Setup::kept().set("handler_timeout", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        sleep(secs(3_000)).await;
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn a_begun_answer_stops_the_clock() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.begin(200, [], None).unwrap();
        sleep(secs(600)).await;
        request.finish([]).unwrap();
        assert_eq!(peer.answer().await.status, 200);
        assert_eq!(host.limits(Reason::HandlerTimeout), 0);
    });
}

#[test]
fn what_is_let_go_unanswered_is_answered_500() {
    Setup::inline(|request| match request.exchange().head().target() {
        b"/panic" => panic!("the program's fault"),
        b"/failed" => request.fail(Failure::Failed),
        b"/refused" => request.fail(Failure::Refused),
        b"/dropped" => drop(request),
        _ => hello(&request),
    })
    .run(async |host| {
        let mut peer = host.connect().await;
        for (target, status) in
            [("/panic", 500), ("/failed", 500), ("/refused", 503), ("/dropped", 500), ("/", 200)]
        {
            peer.get(target).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.closes()), (status, false), "{target}");
            assert_eq!(answer.field("retry-after").is_some(), status == 503);
        }
        let failed = (500, Reason::HandlerFailed);
        let expected = [failed, failed, (503, Reason::HandlerCapacity), failed, (200, Reason::Complete)];
        assert_eq!(host.outcomes(), expected);
        assert_eq!(host.server.snapshot().requests_unanswered, 2);
    });
}

#[test]
fn an_aborted_exchange_resets() {
    for begun in [false, true] {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            if begun {
                request.begin(200, [], Some(10)).unwrap();
                request.write(b"12345", Some(secs(0))).unwrap();
                host.turn().await;
            }
            request.abort().unwrap();
            let (rest, ending) = peer.rest().await;
            assert_eq!((rest.is_empty(), ending), (!begun, Ending::Reset));
            let phase = if begun { Phase::Response } else { Phase::Handler };
            host.closed(&peer, phase, Reason::ProgramAbort).await;
            let status = if begun { 200 } else { 0 };
            assert_eq!(host.outcomes(), [(status, Reason::ProgramAbort)]);
        });
    }
}

#[test]
fn a_begun_answer_that_is_let_go_or_falls_short_resets() {
    for short in [false, true] {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            request.begin(200, [], short.then_some(10)).unwrap();
            request.write(b"12345", Some(secs(0))).unwrap();
            host.turn().await;
            if short {
                assert!(matches!(request.finish([]), Err(RequestError::State(_))));
            }
            drop(request);
            let (rest, ending) = peer.rest().await;
            assert!(rest.ends_with(if short { b"12345" } else { b"5\r\n12345\r\n" }));
            assert_eq!(ending, Ending::Reset);
            assert_eq!(host.outcomes(), [(200, Reason::ProgramAbort)]);
        });
    }
}
