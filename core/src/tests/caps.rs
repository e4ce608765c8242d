//! The caps: exactly the cap passes, one more does not, and the peer sees what the setting's row says. HTTP/1 where it matters.

use std::sync::Arc;

use super::peer::{Ending, Peer, at, secs};
use super::support::{Host, Setup, hello, read_all, read_some};
use crate::config::Dispatch;
use crate::event::Event;
use crate::phase::Phase;
use crate::queue::{Next, Queue};
use crate::reason::Reason;
use crate::request::{Body, RequestError};

/// A head of exactly so many octets.
fn head_of(octets: usize) -> String {
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(octets - frame))
}

/// What one request is answered; a refusal closes, and never reaches the program.
async fn refused(host: &Host, request: &str, status: u16, reason: Reason) {
    let before = host.limits(reason);
    let mut peer = host.connect().await;
    peer.send(request).await;
    let answer = peer.answer().await;
    assert_eq!((answer.status, answer.closes()), (status, true));
    peer.finish().await;
    assert_eq!(peer.ending().await, Ending::Closed);
    host.closed(&peer, Phase::Linger, reason).await;
    assert_eq!(host.limits(reason), before + 1);
    assert_eq!(host.outcomes().pop(), Some((status, reason)));
    assert!(!host.is_request_waiting());
}

async fn served(host: &Host, request: &str) {
    let mut peer = host.connect().await;
    peer.send(request).await;
    hello(&host.request().await);
    assert_eq!(peer.answer().await.status, 200);
}

#[test]
fn a_head_of_exactly_the_cap_passes() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.set("max_header_bytes", "4096").run(async |host| {
            served(host, &head_of(4_096)).await;
            refused(host, &head_of(4_097), 431, Reason::HeaderBytes).await;
            served(host, &format!("\r\n{}", head_of(4_096))).await;
        });
    }
}

#[test]
fn exactly_as_many_fields_as_the_cap_pass() {
    Setup::kept().set("max_header_fields", "10").run(async |host| {
        let fields =
            |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
        served(host, &fields(10)).await;
        refused(host, &fields(11), 431, Reason::HeaderFields).await;
    });
}

#[test]
fn a_target_of_exactly_the_cap_passes() {
    Setup::kept().set("max_target_bytes", "20").run(async |host| {
        let target = |octets: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(octets - 1));
        served(host, &target(20)).await;
        refused(host, &target(21), 414, Reason::HeaderTarget).await;
    });
}

#[test]
fn content_of_exactly_the_cap_passes_when_it_is_buffered() {
    Setup::kept().set("max_body_bytes", "10").run(async |host| {
        let post = |octets: usize| {
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {octets}\r\n\r\n{:x<octets$}", "")
        };
        served(host, &post(10)).await;
        refused(host, &post(11), 413, Reason::BodySize).await;
    });
}

#[test]
fn announced_content_over_the_cap_is_refused_at_the_first_read() {
    Setup::kept().set("max_body_bytes", "10").set("buffer_body_bytes", "0").run(async |host| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
        let mut peer = host.connect().await;
        peer.send(head).await;
        let request = host.request().await;
        assert_eq!(read_some(&request).await, Err(RequestError::TooLarge));
        // Before the connection has had a turn.
        let own = request.respond(200, [], Body::Copied(b"all is well"));
        assert_eq!(own, Err(RequestError::Cancelled(Reason::BodySize)));
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (413, true));
        assert_eq!(read_some(&request).await, Err(RequestError::Cancelled(Reason::BodySize)));
        assert_eq!(host.limits(Reason::BodySize), 1);
        assert_eq!(host.outcomes(), [(413, Reason::BodySize)]);

        // A program that asks for nothing may answer as it likes, and one that raises the cap first may read.
        let mut peer = host.connect().await;
        peer.send(head).await;
        hello(&host.request().await);
        assert_eq!(peer.answer().await.status, 200);
        let mut peer = host.connect().await;
        peer.send(format!("{head}12345678901")).await;
        let request = host.request().await;
        request.set_limit("max_body_bytes", 11).unwrap();
        assert_eq!(read_all(&request).await.unwrap(), b"12345678901");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn chunked_content_of_exactly_the_cap_passes() {
    Setup::kept().set("max_body_bytes", "10").run(async |host| {
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n";
        let mut peer = host.connect().await;
        peer.send(format!("{chunked}5\r\n67890\r\n0\r\n\r\n")).await;
        let request = host.request().await;
        assert_eq!(read_all(&request).await.unwrap(), b"1234567890");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);

        peer.send(format!("{chunked}6\r\n678901\r\n0\r\n\r\n")).await;
        let request = host.request().await;
        assert_eq!(read_all(&request).await, Err(RequestError::TooLarge));
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (413, true));
        assert_eq!(read_some(&request).await, Err(RequestError::Cancelled(Reason::BodySize)));
        assert_eq!(host.limits(Reason::BodySize), 1);
    });
}

#[test]
fn the_oldest_silent_peer_makes_room_for_a_newcomer() {
    Setup::hello().tls().set("max_pending_handshakes", "2").run(async |host| {
        let mut silent = host.dial();
        let mut shaking = host.dial();
        shaking.send(host.client_hello()).await;
        host.turn().await;
        let mut honest = host.connect().await;
        assert_eq!(silent.ending().await, Ending::Closed);
        host.closed(&silent, Phase::Hello, Reason::TlsPendingLimit).await;
        assert_eq!(host.limits(Reason::TlsPendingLimit), 1);
        honest.get("/").await;
        assert_eq!(honest.answer().await.status, 200);
        // One in handshake and one newcomer: the next takes the newcomer's place, not that of who has said hello.
        let mut newcomer = host.dial();
        let _another = host.dial();
        assert_eq!(newcomer.ending().await, Ending::Closed);
        assert_eq!(host.phase(&shaking), Phase::Handshake);
    });
}

#[test]
fn the_longest_idle_connection_makes_room_for_a_newcomer() {
    Setup::kept().run(async |host| {
        let mut peers: Vec<Peer> = Vec::new();
        for _ in 0..3 {
            let mut peer = host.connect().await;
            peer.get("/").await;
            hello(&host.request().await);
            peer.answer().await;
            peers.push(peer);
            tokio::time::sleep(secs(1)).await;
        }
        peers[0].get("/busy").await;
        let busy = host.request().await;
        assert!(host.shared.registry.evict_longest_idle(Reason::AcceptLimit));
        assert_eq!(peers[1].ending().await, Ending::Closed);
        host.closed(&peers[1], Phase::Idle, Reason::AcceptLimit).await;
        assert_eq!(host.limits(Reason::AcceptLimit), 1);
        hello(&busy);
        assert_eq!(peers[0].answer().await.status, 200);
    });
}

#[test]
fn a_request_that_has_just_come_is_not_cut_for_a_newcomer() {
    for setup in [Setup::hello(), Setup::hello().tls()] {
        setup.run(async |host| {
            let mut peers: Vec<Peer> = Vec::new();
            for _ in 0..2 {
                let mut peer = host.connect().await;
                peer.get("/").await;
                peer.answer().await;
                peers.push(peer);
                tokio::time::sleep(secs(1)).await;
            }
            // On its way when the choice falls on its connection.
            peers[0].get("/").await;
            assert!(host.shared.registry.evict_longest_idle(Reason::AcceptLimit));
            assert_eq!(peers[0].answer().await.text(), "hello");
            host.turn().await;
            assert_eq!((host.phase(&peers[0]), host.limits(Reason::AcceptLimit)), (Phase::Idle, 0));
            // The next choice is another's.
            assert!(host.shared.registry.evict_longest_idle(Reason::AcceptLimit));
            assert_eq!(peers[1].ending().await, Ending::Closed);
            peers[0].get("/").await;
            assert_eq!(peers[0].answer().await.text(), "hello");
        });
    }
}

#[test]
fn connections_of_one_address_have_a_cap() {
    Setup::hello().from("[2001:db8::7]:4711").set("max_connections_per_ip", "2").run(async |host| {
        let first = host.connect().await;
        let mut second = host.connect().await;
        host.turn().await;
        let mut third = host.connect().await;
        assert_eq!(at(secs(0), third.ending()).await, Ending::Closed);
        host.closed(&third, Phase::Header, Reason::AcceptPerIp).await;
        assert_eq!(host.limits(Reason::AcceptPerIp), 1);
        drop(first);
        host.turn().await;
        let mut fourth = host.connect().await;
        for peer in [&mut second, &mut fourth] {
            peer.get("/").await;
            assert_eq!(peer.answer().await.status, 200);
        }
    });
}

#[test]
fn handlers_beyond_the_cap_are_answered_503() {
    Setup::kept().set("max_running_handlers", "2").run(async |host| {
        let mut first = host.connect().await;
        first.get("/").await;
        let kept = host.request().await;
        let mut second = host.connect().await;
        second.get("/").await;
        let also_kept = host.request().await;
        let mut third = host.connect().await;
        third.get("/").await;
        let answer = third.answer().await;
        assert_eq!((answer.status, answer.closes()), (503, false));
        assert!(answer.field("retry-after").is_some());
        assert_eq!(host.limits(Reason::HandlerCapacity), 1);
        assert_eq!(host.outcomes(), [(503, Reason::HandlerCapacity)]);
        // An answer frees nothing; the release does.
        hello(&kept);
        first.answer().await;
        third.get("/").await;
        assert_eq!(third.answer().await.status, 503);
        drop(kept);
        third.get("/").await;
        hello(&host.request().await);
        assert_eq!(third.answer().await.status, 200);
        hello(&also_kept);
    });
}

#[test]
fn the_handlers_of_one_connection_have_a_cap() {
    Setup::kept().set("max_handlers_per_connection", "1").set("handler_timeout", "1s").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let stuck = host.request().await;
        assert_eq!(at(secs(1), peer.answer()).await.status, 504);
        peer.get("/").await;
        assert_eq!(peer.answer().await.status, 503);
        let mut other = host.connect().await;
        other.get("/").await;
        hello(&host.request().await);
        assert_eq!(other.answer().await.status, 200);
        drop(stuck);
        peer.get("/").await;
        hello(&host.request().await);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn waiting_requests_beyond_the_cap_are_answered_503() {
    let queue = Queue::new().unwrap();
    let setup = Setup::dispatching(Dispatch::Queues(vec![queue.clone()]));
    setup.set("max_queued_requests", "2").run(async |host| {
        let mut peers = Vec::new();
        for _ in 0..3 {
            let mut peer = host.connect().await;
            peer.get("/").await;
            peers.push(peer);
        }
        assert_eq!(peers[2].answer().await.status, 503);
        let snapshot = host.server.snapshot();
        assert_eq!((snapshot.requests_queued, snapshot.handlers_running), (2, 0));
        // The program hears nothing of the third: it was never given it.
        for request in take(&queue) {
            hello(&request);
        }
        for peer in &mut peers[..2] {
            assert_eq!(peer.answer().await.status, 200);
        }
        host.turn().await;
        let mut done = Vec::new();
        queue.next(&mut done, 100, Some(secs(0)));
        assert!(matches!(done[..], [Event::Done(_), Event::Done(_)]), "{done:?}");
        peers[2].get("/").await;
        host.turn().await;
        hello(&take(&queue)[0]);
        assert_eq!(peers[2].answer().await.status, 200);
        assert_eq!(host.limits(Reason::HandlerCapacity), 1);
    });
}

/// The requests that wait.
fn take(queue: &Arc<Queue>) -> Vec<crate::Request> {
    let mut events = Vec::new();
    assert_eq!(queue.next(&mut events, 100, Some(secs(0))), Next::Events);
    let requests = events.into_iter().map(|event| match event {
        Event::Request(request) => request,
        other => panic!("{other:?}"),
    });
    requests.collect()
}

#[test]
fn a_consumer_of_one_event_at_a_time_hears_of_each_request_in_order() {
    let queue = Queue::new().unwrap();
    Setup::dispatching(Dispatch::Queues(vec![queue.clone()])).run(async |host| {
        let mut peers = [host.connect().await, host.connect().await];
        for peer in &mut peers {
            peer.get("/").await;
        }
        host.turn().await;
        let [gone, mut waits] = peers;
        drop(gone);
        host.turn().await;
        let mut heard = Vec::new();
        while queue.next(&mut heard, 1, Some(secs(0))) == Next::Events {
            if let Some(Event::Request(request)) = heard.last() {
                hello(request);
                host.turn().await;
            }
        }
        assert_eq!(waits.answer().await.status, 200);
        let (gone, answered) = match &heard[..] {
            [
                Event::Request(gone),
                Event::Cancelled(cancelled, _),
                Event::Done(first),
                Event::Request(answered),
                Event::Done(second),
            ] => {
                assert!(Arc::ptr_eq(gone.exchange(), cancelled));
                ((gone, first), (answered, second))
            }
            other => panic!("{other:?}"),
        };
        for (request, done) in [gone, answered] {
            assert!(Arc::ptr_eq(request.exchange(), done.exchange.as_ref().unwrap()));
        }
    });
}

#[test]
fn what_happened_to_a_request_that_waited_for_a_slot_makes_the_queue_readable() {
    let queue = Queue::new().unwrap();
    let setup = Setup::dispatching(Dispatch::Queues(vec![queue.clone()]));
    setup.set("max_running_handlers", "1").run(async |host| {
        let mut peers = [host.connect().await, host.connect().await];
        for peer in &mut peers {
            peer.get("/").await;
        }
        host.turn().await;
        let mut heard = Vec::new();
        assert_eq!(queue.next(&mut heard, 1, Some(secs(0))), Next::Events);
        let Some(Event::Request(running)) = heard.pop() else { panic!() };
        let [_first, gone] = peers;
        drop(gone);
        host.turn().await;
        assert_eq!(queue.next(&mut heard, 1, Some(secs(0))), Next::Again);
        assert!(!queue.is_readable());
        hello(&running);
        let load = running.exchange().connection.load.clone();
        let held_up = load.hold_up();
        let other = std::thread::spawn(move || drop(running));
        while load.running() > 0 {
            std::thread::yield_now();
        }
        // Taken before the slot was told of: what happened to it waits, and nobody has been woken for that.
        assert_eq!(queue.next(&mut heard, 1, Some(secs(0))), Next::Events);
        assert!(matches!(heard[..], [Event::Request(_)]));
        drop(held_up);
        other.join().unwrap();
        assert!(queue.is_readable(), "{} events wait", queue.len());
    });
}

#[test]
fn a_waiting_request_that_nobody_takes_is_answered_504() {
    let queue = Queue::new().unwrap();
    Setup::dispatching(Dispatch::Queues(vec![queue.clone()])).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        assert_eq!(at(secs(30), peer.answer()).await.status, 504);
        let mut events = Vec::new();
        queue.next(&mut events, 100, Some(secs(0)));
        let [Event::Request(request), Event::Cancelled(..), Event::Done(_)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(request.cancelled(), Some(Reason::HandlerTimeout));
    });
}
