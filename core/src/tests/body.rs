//! The body phase of HTTP/1: content that the program asked for, or that is buffered ahead, is awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, sleep, timeout};

use super::peer::{Ending, Peer, after, at, millis, secs};
use super::support::{Setup, hello, read_all, read_some};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Read, RequestError};

/// The head of an upload that is not buffered ahead.
const UPLOAD: &str = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
const CHUNKED: &str = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn content_that_is_buffered_ahead_and_stops_is_answered_408() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
            host.turn().await;
            assert_eq!(host.phase(&peer), Phase::Body);
            let answer = at(millis(14_999), peer.answer()).await;
            assert_eq!((answer.status, answer.closes()), (408, true));
            peer.finish().await;
            assert_eq!(peer.ending().await, Ending::Closed);
            let record = host.closed(&peer, Phase::Linger, Reason::BodyIdle).await;
            assert!(record.times[Phase::Body.id()] >= secs(15));
            assert!(!host.is_request_waiting());
            let request = host.ended().pop().unwrap();
            assert_eq!((request.status, request.reason, request.bytes_in), (408, Reason::BodyIdle, 5));
            assert_eq!(&*request.method, b"POST");
            assert_eq!(host.limits(Reason::BodyIdle), 1);
        });
    }
}

#[test]
fn content_within_the_buffer_is_delivered_with_the_request() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        sleep(secs(14)).await;
        assert!(!host.is_request_waiting());
        peer.send("67890GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let request = host.request().await;
        assert_eq!(request.exchange().buffered().unwrap(), "1234567890");
        assert_eq!(read_all(&request).await.unwrap(), b"1234567890");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
        hello(&host.request().await);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn content_that_stops_under_a_reading_program_is_answered_408() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send(format!("{UPLOAD}123")).await;
            let request = host.request().await;
            assert_eq!(read_some(&request).await.unwrap(), "123");
            let failed = at(secs(15), read_some(&request)).await;
            assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyIdle)));
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.closes()), (408, true));
            assert_eq!(
                request.respond(200, [], crate::Body::Copied(b"")),
                Err(RequestError::Cancelled(Reason::BodyIdle))
            );
            assert_eq!(peer.ending().await, Ending::Closed);
            host.closed(&peer, Phase::Linger, Reason::BodyIdle).await;
            assert_eq!(host.outcomes(), [(408, Reason::BodyIdle)]);
            assert_eq!(host.limits(Reason::BodyIdle), 1);
        });
    }
}

#[test]
fn content_just_before_the_idle_limit_starts_it_anew() {
    Setup::kept().set("min_body_rate", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        let drip = async {
            for _ in 0..5 {
                sleep(millis(14_990)).await;
                peer.send("x").await;
            }
        };
        let read = async {
            for _ in 0..5 {
                assert_eq!(read_some(&request).await.unwrap(), "x");
            }
            read_some(&request).await
        };
        let began = Instant::now();
        let (_, failed) = tokio::join!(drip, read);
        assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyIdle)));
        assert!(began.elapsed() >= millis(5 * 14_990 + 15_000));
    });
}

#[test]
fn a_drip_below_the_rate_is_answered_408_when_its_credit_is_gone() {
    for head in [UPLOAD, CHUNKED] {
        Setup::kept().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(head).await;
            let request = host.request().await;
            let drip = async {
                loop {
                    sleep(secs(5)).await;
                    // An octet of content, and the framing of one on the other side.
                    if peer.try_send(if head == UPLOAD { "xxxxxx" } else { "1\r\nx\r\n" }).await.is_err() {
                        break;
                    }
                }
            };
            // Six octets buy a fortieth of a second.
            let read = at(secs(20), timeout(secs(100), read_all(&request)));
            let failed = tokio::select! {
                failed = read => failed.unwrap(),
                () = drip => panic!("the read ends first"),
            };
            assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyRate)));
            assert_eq!(peer.answer().await.status, 408);
            assert_eq!(host.limits(Reason::BodyRate), 1);
            assert_eq!(host.outcomes(), [(408, Reason::BodyRate)]);
        });
    }
}

#[test]
fn a_steady_upload_meets_only_the_total_limit() {
    Setup::kept().set("body_timeout", "60s").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        let began = Instant::now();
        let steady = async {
            for _ in 0..70 {
                sleep(secs(1)).await;
                peer.send([b'x'; 300]).await;
            }
        };
        let failed = tokio::select! {
            failed = after(began, secs(60), read_all(&request)) => failed,
            () = steady => panic!("the limit strikes first"),
        };
        assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyTimeout)));
        assert_eq!(peer.answer().await.status, 408);
    });
}

#[test]
fn limits_that_are_off_let_a_drip_go_on() {
    let setup = Setup::kept()
        .set("min_body_rate", "off")
        .set("body_idle_timeout", "off")
        .set("handler_timeout", "off");
    setup.run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await;
        let request = host.request().await;
        assert_eq!(read_some(&request).await.unwrap(), "x");
        let later = async {
            sleep(secs(600)).await;
            peer.send("0\r\n\r\n").await;
        };
        let (end, ()) = tokio::join!(read_all(&request), later);
        assert_eq!(end.unwrap(), b"");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn no_clock_of_the_body_runs_while_nobody_reads() {
    Setup::kept().set("handler_timeout", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        sleep(secs(300)).await;
        assert_eq!(host.phase(&peer), Phase::Handler);
        assert_eq!(at(secs(15), read_some(&request)).await, Err(RequestError::Cancelled(Reason::BodyIdle)));
    });
}

#[test]
fn a_limit_behind_a_begun_answer_resets() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(UPLOAD).await;
        let request = host.request().await;
        request.begin(200, [], None).unwrap();
        request.write(b"so far", Some(secs(0))).unwrap();
        let failed = at(secs(15), read_some(&request)).await;
        assert_eq!(failed, Err(RequestError::Cancelled(Reason::BodyIdle)));
        let (rest, ending) = peer.rest().await;
        assert!(rest.ends_with(b"6\r\nso far\r\n"));
        assert_eq!(ending, Ending::Reset);
        host.closed(&peer, Phase::Body, Reason::BodyIdle).await;
        assert_eq!(host.outcomes(), [(200, Reason::BodyIdle)]);
    });
}

#[test]
fn an_upload_is_held_back_until_the_program_reads() {
    Setup::kept().set("max_body_bytes", "off").set("handler_timeout", "off").run(async |host| {
        let mut peer = host.connect().await;
        let total = 4_000_000;
        peer.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let request = host.request().await;
        let sent = Arc::new(AtomicUsize::new(0));
        let upload = tokio::task::spawn_local({
            let sent = sent.clone();
            async move {
                for _ in 0..total / 10_000 {
                    peer.send("2710\r\n").await;
                    peer.send([b'x'; 10_000]).await;
                    peer.send("\r\n").await;
                    sent.fetch_add(10_000, Ordering::Relaxed);
                }
                peer.send("0\r\nX-Sum: 7\r\n\r\n").await;
                peer
            }
        });
        // The network's 64 KiB and what the connection reads unasked.
        sleep(secs(60)).await;
        assert!((50_000..90_000).contains(&sent.load(Ordering::Relaxed)), "{sent:?}");
        let mut read = read_some(&request).await.unwrap().len();
        // The window of an exchange comes on top.
        sleep(secs(60)).await;
        assert!((100_000..180_000).contains(&sent.load(Ordering::Relaxed)), "{sent:?}");
        read += read_all(&request).await.unwrap().len();
        assert_eq!(read, total);
        assert_eq!(request.trailers().unwrap().block(), b"x-sum\x007\0");
        hello(&request);
        let mut peer: Peer = upload.await.unwrap();
        assert!(!peer.answer().await.closes());
        peer.get("/").await;
        hello(&host.request().await);
        assert_eq!(peer.answer().await.status, 200);
        assert_eq!(host.ended()[0].bytes_in, 4_000_000);
    });
}

#[test]
fn malformed_chunks_are_answered_400_and_never_complete() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(format!("{CHUNKED}3\r\nabc\r\n+3\r\n")).await;
        let request = host.request().await;
        assert_eq!(read_all(&request).await, Err(RequestError::Cancelled(Reason::BodySyntax)));
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (400, true));
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Linger, Reason::BodySyntax).await;
    });
}

#[test]
fn a_read_of_no_patience_says_again() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(CHUNKED).await;
        let request = host.request().await;
        let mut buffer = [0; 4];
        assert_eq!(request.read(&mut buffer, Some(secs(0))), Ok(Read::Again));
        peer.send("6\r\nabcdef\r\n0\r\n\r\n").await;
        host.turn().await;
        assert_eq!(request.read(&mut buffer, Some(secs(0))), Ok(Read::Octets(4)));
        assert_eq!((&buffer, request.peek().unwrap().0.as_ref()), (b"abcd", &b"ef"[..]));
        assert_eq!(request.read(&mut buffer, Some(secs(0))), Ok(Read::Octets(2)));
        host.turn().await;
        assert_eq!(request.read(&mut buffer, Some(secs(0))), Ok(Read::End));
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn content_of_exactly_the_buffer_comes_with_the_request() {
    let post = |octets: usize, fields: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {octets}\r\n\r\n{:x<octets$}", "")
    };
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.set("buffer_body_bytes", "1000").run(async |host| {
            let mut peer = host.connect().await;
            for (octets, fields, buffered) in
                [(1_000, "", true), (1_001, "", false), (10, "Expect: 100-continue\r\n", false)]
            {
                peer.send(post(octets, fields)).await;
                let request = host.request().await;
                assert_eq!(request.exchange().buffered().is_some(), buffered, "{octets} {fields}");
                assert_eq!(read_all(&request).await.unwrap().len(), octets);
                hello(&request);
                assert_eq!(peer.answer().await.status, 200);
            }
        });
    }
}

#[test]
fn a_tightened_cap_holds_for_content_that_is_here_and_unread() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890").await;
        let request = host.request().await;
        request.set_limit_text("max_body_bytes", "10").unwrap();
        assert_eq!(request.read(&mut [0; 1], Some(secs(0))), Ok(Read::Octets(1)));
        request.set_limit_text("max_body_bytes", "9").unwrap();
        assert_eq!(request.peek(), Err(RequestError::TooLarge));
        assert_eq!(request.peek(), Err(RequestError::Cancelled(Reason::BodySize)));
        assert_eq!(peer.answer().await.status, 413);
        assert_eq!(host.limits(Reason::BodySize), 1);
    });
}

#[test]
fn a_cap_that_is_off_takes_any_content() {
    Setup::kept().set("max_body_bytes", "off").run(async |host| {
        let mut peer = host.connect().await;
        let length = (16 << 20) + 1;
        peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
        let read = async {
            let request = host.request().await;
            let mut read = 0;
            while let octets @ 1.. = read_some(&request).await.unwrap().len() {
                read += octets;
            }
            hello(&request);
            read
        };
        let (_, read) = tokio::join!(peer.send(vec![b'x'; length]), read);
        assert_eq!(read, length);
        assert_eq!(peer.answer().await.status, 200);
    });
}
