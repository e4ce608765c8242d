//! What a program may do with a request on HTTP/1: from other threads, in pieces, through hooks; and what the peer sees of it.

use std::sync::{Arc, Mutex};

use tokio::task::spawn_blocking;

use super::peer::{Ending, secs};
use super::support::{Setup, hello, read_all};
use crate::config::{Dispatch, Handler, Hooks};
use crate::event::Event;
use crate::exchange::Ready;
use crate::link::lock;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, Read, Request, RequestError};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_thread_of_the_program_may_wait_for_content() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send(CHUNKED).await;
            let request = host.request().await;
            // A blocking task holds the paused clock: no limit can strike meanwhile.
            let reader = spawn_blocking(move || {
                let mut content = Vec::new();
                let mut buffer = [0; 1_000];
                while let Read::Octets(octets) = request.read(&mut buffer, None).unwrap() {
                    content.extend_from_slice(&buffer[..octets]);
                }
                request.respond(200, [], Body::Copied(&content)).unwrap();
            });
            for _ in 0..10 {
                peer.send(format!("4e20\r\n{}\r\n", "x".repeat(20_000))).await;
            }
            peer.send("0\r\n\r\n").await;
            assert_eq!(peer.answer().await.content, [b'x'; 200_000]);
            reader.await.unwrap();
        });
    }
}

#[test]
fn a_thread_of_the_program_may_wait_for_room() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.capacity(4_096).run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            let writer = spawn_blocking(move || {
                request.begin(200, [], None).unwrap();
                let octets = [b'x'; 30_000];
                for _ in 0..10 {
                    let mut left = &octets[..];
                    while !left.is_empty() {
                        left = &left[request.write(left, None).unwrap()..];
                    }
                }
                request.finish([]).unwrap();
            });
            let answer = peer.answer().await;
            assert_eq!((answer.content.len(), answer.field("transfer-encoding")), (300_000, Some("chunked")));
            writer.await.unwrap();
            host.turn().await;
            assert_eq!(host.ended()[0].bytes_out, 300_000);
        });
    }
}

#[test]
fn a_waiting_thread_is_woken_by_the_end() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(CHUNKED).await;
        let request = host.request().await;
        let reader = spawn_blocking(move || request.read(&mut [0; 10], None));
        host.server.shutdown(Some(secs(0)));
        assert_eq!(reader.await.unwrap(), Err(RequestError::Cancelled(Reason::ProgramStop)));
        assert_eq!(peer.ending().await, Ending::Reset);
    });
}

#[test]
fn armed_content_is_told_of_once() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(CHUNKED).await;
        let request = host.request().await;
        assert!(matches!(request.arm_content(), Err(RequestError::State(_))));
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = told.clone();
        request.on_ready(Arc::new(move |ready| lock(&hook).push(ready))).unwrap();
        request.arm_content().unwrap();
        host.turn().await;
        assert_eq!(host.phase(&peer), Phase::Body);
        assert!(lock(&told).is_empty());
        peer.send("4\r\nsome\r\n").await;
        host.turn().await;
        peer.send("4\r\nmore\r\n").await;
        host.turn().await;
        assert_eq!(*lock(&told), [Ready::Content]);
        request.arm_content().unwrap();
        host.turn().await;
        assert_eq!(*lock(&told), [Ready::Content, Ready::Content]);
        peer.send("0\r\n\r\n").await;
        assert_eq!(read_all(&request).await.unwrap(), b"somemore");
        request.arm_content().unwrap();
        host.turn().await;
        assert_eq!(lock(&told).len(), 3, "the end is ready, too");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn a_readiness_hook_goes_with_its_request() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(format!("{CHUNKED}4\r\nsome\r\n")).await;
        let request = host.request().await;
        // As a program does that has its own state of an exchange.
        let (exchange, held) = (request.exchange().clone(), Arc::new(()));
        let weak = (Arc::downgrade(&exchange), Arc::downgrade(&held));
        request.on_ready(Arc::new(move |_| panic!("{exchange:?} {held:?}"))).unwrap();
        hello(&request);
        peer.answer().await;
        drop(request);
        assert!(weak.1.upgrade().is_none());
        peer.finish().await;
        host.closed(&peer, Phase::Linger, Reason::Complete).await;
        assert!(weak.0.upgrade().is_none_or(|exchange| Arc::strong_count(&exchange) == 2), "kept as a spare");
        assert_eq!(host.shared.load.retained(), 0);
    });
}

#[test]
fn a_readiness_hook_that_panics_is_called_again() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(CHUNKED).await;
        let request = host.request().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = told.clone();
        let hook = move |ready| {
            lock(&hook).push(ready);
            panic!("the program's fault");
        };
        request.on_ready(Arc::new(hook)).unwrap();
        for times in 1..3 {
            assert_eq!(request.read(&mut [0; 8], Some(secs(0))), Ok(Read::Again));
            request.arm_content().unwrap();
            peer.send("4\r\nsome\r\n").await;
            host.turn().await;
            assert_eq!(*lock(&told), vec![Ready::Content; times]);
            assert_eq!(request.read(&mut [0; 8], Some(secs(0))), Ok(Read::Octets(4)));
        }
        hello(&request);
    });
}

#[test]
fn armed_room_is_told_of_when_the_peer_has_taken_some() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = told.clone();
        request.on_ready(Arc::new(move |ready| lock(&hook).push(ready))).unwrap();
        assert!(matches!(request.arm_room(), Err(RequestError::State(_))));
        request.begin(200, [], Some(65_536)).unwrap();
        assert_eq!(request.write(&[b'x'; 65_536], Some(secs(0))), Ok(65_536));
        request.arm_room().unwrap();
        host.turn().await;
        assert!(lock(&told).is_empty());
        request.finish([]).unwrap();
        peer.answer().await;
        host.turn().await;
        assert_eq!(*lock(&told), [Ready::Room]);
    });
}

#[test]
fn a_cancel_is_told_of_once() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = told.clone();
        request.on_cancel(Box::new(move |reason| lock(&hook).push(reason))).unwrap();
        assert!(matches!(request.on_cancel(Box::new(|_| {})), Err(RequestError::State(_))));
        peer.finish().await;
        host.turn().await;
        host.server.shutdown(Some(secs(0)));
        assert_eq!(peer.ending().await, Ending::Reset);
        assert_eq!(*lock(&told), [Reason::PeerClosed]);
    });
}

#[test]
fn a_cancel_hook_is_not_called_for_what_ended_well() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let alive = Arc::new(());
        let held = alive.clone();
        request.on_cancel(Box::new(move |reason| panic!("{reason} {held:?}"))).unwrap();
        hello(&request);
        peer.answer().await;
        host.turn().await;
        assert_eq!(Arc::strong_count(&alive), 1, "dropped, which tells its owner");
    });
}

/// A value of the program's whose end goes wrong.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the program's fault");
    }
}

#[test]
fn a_panic_at_the_end_of_a_value_costs_nobody_else_anything() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        let bomb = Bomb;
        request.on_cancel(Box::new(move |_| drop(bomb))).unwrap();
        request.exchange().drop_later(Box::new(Bomb));
        host.turn().await;
        hello(&request);
        peer.answer().await;
        peer.get("/").await;
        hello(&host.request().await);
        assert!(!peer.answer().await.closes(), "the server drains");
        assert_eq!(host.log(), [""; 0]);
    });
}

#[test]
fn hints_come_before_the_answer_but_not_to_a_1_0_peer() {
    Setup::inline(|request| {
        request.inform(103, [(&b"link"[..], &b"</a>"[..])]).unwrap();
        hello(&request);
    })
    .run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let hints = peer.answer().await;
        assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
        assert_eq!(peer.answer().await.text(), "hello");
        peer.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        assert_eq!(peer.answer().await.text(), "hello");
    });
}

#[test]
fn a_1_0_peer_is_closed_unless_it_asks_otherwise() {
    let streamed = |request: crate::Request| {
        if request.exchange().head().target() == b"/streamed" {
            request.begin(200, [], None).unwrap();
            request.write(b"hello", Some(secs(0))).unwrap();
            request.finish([]).unwrap();
        } else {
            hello(&request);
        }
    };
    Setup::inline(streamed).run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = peer.answer().await;
        assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("keep-alive")));
        peer.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let answer = peer.answer().await;
        assert_eq!((answer.text(), answer.closes()), ("hello", true));
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Handler, Reason::Complete).await;
        // Without chunks the end of the connection ends the content.
        let mut peer = host.connect().await;
        peer.send("GET /streamed HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = peer.answer().await;
        assert_eq!((answer.text(), answer.closes()), ("hello", true));
        assert_eq!(answer.field("transfer-encoding"), None);
        host.closed(&peer, Phase::Handler, Reason::Complete).await;
    });
}

#[test]
fn head_204_and_304_carry_no_content() {
    Setup::inline(|request| {
        let status = std::str::from_utf8(&request.exchange().head().target()[1..]).unwrap().parse().unwrap();
        request.respond(status, [], Body::Copied(b"content")).unwrap();
    })
    .run(async |host| {
        let mut peer = host.connect().await;
        for (method, status, length) in
            [("HEAD", 200, Some("7")), ("GET", 204, None), ("GET", 304, None), ("HEAD", 404, Some("7"))]
        {
            peer.send(format!("{method} /{status} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let answer = peer.answer_to(method).await;
            assert_eq!((answer.status, answer.field("content-length")), (status, length), "{method}");
            assert!(!answer.closes() && answer.content.is_empty());
        }
        peer.get("/200").await;
        assert_eq!(peer.answer().await.text(), "content");
        assert_eq!(host.outcomes().len(), 5);
    });
}

#[test]
fn no_content_is_missing_where_none_is_sent() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
            peer.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let request = host.request().await;
            request.begin(status, [], Some(10)).unwrap();
            assert_eq!(request.finish([]), Ok(()), "{method} {status}");
            assert_eq!(peer.answer_to(method).await.status, status);
        }
    });
}

#[test]
fn a_close_that_the_peer_asks_for_is_complete() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(peer.answer().await.closes());
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Handler, Reason::Complete).await;
    });
}

#[test]
fn a_second_answer_is_refused() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        assert!(matches!(request.write(b"x", Some(secs(0))), Err(RequestError::State(_))));
        hello(&request);
        let again = request.respond(200, [], Body::Copied(b""));
        assert!(matches!(again, Err(RequestError::State(_))));
        assert!(matches!(request.begin(200, [], None), Err(RequestError::State(_))));
        assert_eq!(peer.answer().await.text(), "hello");
        host.turn().await;
        assert!(request.respond(200, [], Body::Copied(b"")).is_err());
    });
}

#[test]
fn workers_may_block() {
    let handler: Arc<dyn Handler> = Arc::new(|request: Request| {
        let mut buffer = [0; 10];
        let read = request.read(&mut buffer, None).unwrap();
        if let (Read::Octets(octets), false) = (read, &buffer[..5] == b"panic") {
            request.respond(200, [], Body::Copied(&buffer[..octets])).unwrap();
        } else {
            panic!("the program's fault");
        }
    });
    Setup::dispatching(Dispatch::Workers(handler.clone())).run(async |host| {
        let queue = host.shared.dispatch.queues()[0].clone();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (handler, queue) = (handler.clone(), queue.clone());
                spawn_blocking(move || crate::dispatch::work(&handler, &queue, &Hooks::default()))
            })
            .collect();
        let mut peers = Vec::new();
        for _ in 0..10 {
            let mut peer = host.connect().await;
            peer.send(CHUNKED).await;
            peers.push(peer);
        }
        // Two of them are read from; the others wait in the queue for a worker.
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.send(if index == 3 { "5\r\npanic\r\n0\r\n\r\n" } else { "5\r\nhello\r\n0\r\n\r\n" }).await;
        }
        for (index, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.answer().await.status, if index == 3 { 500 } else { 200 });
        }
        queue.push(Event::Shutdown);
        for worker in workers {
            worker.await.unwrap();
        }
    });
}
