//! Memory: what one connection may hold, and all of them with the requests that the program keeps. Peers are pushed back first;
//! what cannot be pushed back is closed, longest idle and then stalled connections before requests are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::time::sleep;

use super::h2::{
    Client, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Raw, WINDOW_UPDATE, block, frame,
};
use super::peer::{Ending, secs};
use super::support::{Host, Setup, hello, read_all};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;

/// A request whose head holds some 10 KiB.
async fn ask_at_length(raw: &mut Raw, stream: u32) {
    let long = "x".repeat(10_000);
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", "/", &[("a", &long)]))).await;
}

#[test]
fn heads_cannot_be_pushed_back_and_end_their_connection() {
    Setup::kept().set("max_connection_memory_bytes", "64KiB").run(async |host| {
        let mut raw = Raw::open(host).await;
        let mut kept = Vec::new();
        for stream in [1, 3, 5] {
            ask_at_length(&mut raw, stream).await;
            kept.push(host.request().await);
        }
        sleep(secs(1)).await;
        assert_eq!(host.phase(&raw.peer), Phase::Streams);
        ask_at_length(&mut raw, 7).await;
        kept.push(host.request().await);
        assert_eq!(raw.goaway().await.1, ENHANCE_YOUR_CALM);
        assert_eq!(raw.peer.rest().await.1, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::Memory).await;
        assert_eq!(host.limits(Reason::Memory), 1);
        assert!(kept.iter().all(|request| request.cancelled() == Some(Reason::Memory)));
    });
}

#[test]
fn an_upload_that_nobody_reads_is_pushed_back_and_goes_on_later() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.set("max_connection_memory_bytes", "64KiB").run(async |host| {
            let mut peer = host.connect().await;
            peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
            let content = vec![b'x'; 1_000_000];
            let serve = async {
                let request = host.request().await;
                let _ = request.peek();
                sleep(secs(10)).await;
                assert!(host.server.snapshot().memory_bytes <= 64 * 1024);
                assert_eq!(read_all(&request).await.unwrap().len(), 1_000_000);
                hello(&request);
            };
            tokio::join!(peer.send(&content), serve);
            assert_eq!(peer.answer().await.status, 200);
            assert_eq!(host.limits(Reason::Memory), 0);
        });
    }
}

#[test]
fn a_hundred_small_uploads_at_once_are_served() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut client = Client::connect(host).await;
        let mut answers = Vec::new();
        for _ in 0..100 {
            let request = http::Request::post("https://localhost/").header("content-length", 60_000);
            client.requests = client.requests.ready().await.unwrap();
            let (answer, mut content) =
                client.requests.send_request(request.body(()).unwrap(), false).unwrap();
            content.send_data(vec![7; 60_000].into(), true).unwrap();
            answers.push(answer);
        }
        let mut requests = Vec::new();
        while requests.len() < 100 {
            let request = host.request().await;
            let buffered = request.exchange().buffered().is_some();
            assert!(host.server.snapshot().memory_bytes < 4 << 20);
            requests.push(tokio::task::spawn_local(async move {
                assert_eq!(read_all(&request).await.unwrap().len(), 60_000);
                hello(&request);
                buffered
            }));
        }
        let mut buffered = 0;
        for request in requests {
            buffered += usize::from(request.await.unwrap());
        }
        assert!((10..100).contains(&buffered), "{buffered}");
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        assert_eq!(host.limits(Reason::Memory), 0);
    });
}

#[test]
fn what_the_program_gives_in_one_piece_is_not_charged_to_the_peer() {
    let large = || {
        Setup::inline(|request| request.respond(200, [], Body::Owned(Bytes::from(vec![7; 1 << 20]))).unwrap())
            .set("max_connection_memory_bytes", "64KiB")
            .capacity(4_096)
    };
    for setup in [large(), large().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            sleep(secs(1)).await;
            assert!(host.server.snapshot().memory_bytes > 1 << 20, "but counted");
            assert_eq!(peer.answer().await.content.len(), 1 << 20);
        });
    }
    large().run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 1 << 21)]).await;
        raw.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 21).to_be_bytes())).await;
        raw.get(1, "/").await;
        sleep(secs(1)).await;
        assert!(host.server.snapshot().memory_bytes > 1 << 20);
        assert_eq!(raw.answer(1).await.1.len(), 1 << 20);
    });
}

#[test]
fn a_reader_that_never_catches_up_costs_no_more_than_the_buffers() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.begin(200, [], Some(2_000_000)).unwrap();
        let write = async {
            for _ in 0..200 {
                let piece = Bytes::from(vec![7; 10_000]);
                std::future::poll_fn(|cx| request.poll_write(cx, &piece)).await.unwrap();
            }
            request.finish([]).unwrap();
        };
        let read = async {
            for _ in 0..490 {
                assert_eq!(peer.take(4_000).await.len(), 4_000);
                host.turn().await;
                let held = host.server.snapshot().memory_bytes;
                assert!(held < 512 * 1024, "{held}");
            }
        };
        tokio::join!(write, read);
    });
}

#[test]
fn writers_are_held_back_when_their_connection_holds_half_of_what_it_may() {
    Setup::kept().set("max_connection_memory_bytes", "1MiB").run(async |host| {
        let mut raw = Raw::open(host).await;
        let mut requests = Vec::new();
        for n in 0..20 {
            raw.get(2 * n + 1, "/").await;
            let request = host.request().await;
            request.begin(200, [], None).unwrap();
            let mut taken = 0;
            while let Ok(octets @ 1..) = request.write(&[7; 200_000], Some(secs(0))) {
                taken += octets;
                host.turn().await;
            }
            requests.push((request, taken));
        }
        assert!(requests[0].1 >= 64 * 1024, "{}", requests[0].1);
        assert_eq!(requests[19].1, 4 * 1024);
        let held = host.server.snapshot().memory_bytes;
        assert!((512 * 1024..700 * 1024).contains(&held), "{held}");
        assert_eq!(host.phase(&raw.peer), Phase::Streams);
        for (request, _) in &requests {
            request.abort().unwrap();
        }
    });
}

#[test]
fn room_that_is_told_of_is_room_that_can_be_taken() {
    // A program that writes when it is told to, and asks to be told again, must not be told of room that there is not.
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.set("max_connection_memory_bytes", "64KiB").capacity(4_096).run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = Arc::new(host.request().await);
            let (writer, left) = (Arc::downgrade(&request), AtomicUsize::new(500_000));
            let write = move |_| {
                let Some(request) = writer.upgrade() else { return };
                loop {
                    let most = left.load(Ordering::Relaxed).min(100_000);
                    if most == 0 {
                        return request.finish([]).unwrap();
                    }
                    match request.write(&vec![7; most], Some(secs(0))).unwrap() {
                        0 => return request.arm_room().unwrap(),
                        octets => left.fetch_sub(octets, Ordering::Relaxed),
                    };
                }
            };
            request.on_ready(Arc::new(write)).unwrap();
            request.begin(200, [], Some(500_000)).unwrap();
            request.arm_room().unwrap();
            sleep(secs(1)).await;
            assert_eq!(peer.answer().await.content.len(), 500_000);
        });
    }
}

// ---- all connections together ----

async fn idle_http2(host: &Host) -> Raw {
    let mut raw = Raw::open(host).await;
    raw.get(1, "/").await;
    assert_eq!(raw.answer(1).await.0, 200);
    raw
}

#[test]
fn the_longest_idle_go_when_memory_is_short() {
    Setup::hello().set("max_total_memory_bytes", "1MiB").set("idle_timeout", "1h").run(async |host| {
        let mut raws = vec![idle_http2(host).await];
        while host.server.snapshot().memory_bytes + 30_000 < 1 << 20 {
            sleep(secs(1)).await;
            raws.push(idle_http2(host).await);
        }
        sleep(secs(1)).await;
        assert_eq!(host.limits(Reason::Memory), 0);
        for _ in 0..3 {
            sleep(secs(1)).await;
            raws.push(idle_http2(host).await);
        }
        sleep(secs(1)).await;
        let closed = host.limits(Reason::Memory) as usize;
        assert!((1..=3).contains(&closed), "{closed}: no more than needed");
        for raw in &mut raws[..closed] {
            assert_eq!(raw.goaway().await, (1, 0));
            host.closed(&raw.peer, Phase::Flush, Reason::Memory).await;
        }
        assert_eq!(host.phase(&raws[closed].peer), Phase::Idle);
        assert!(host.server.snapshot().memory_bytes <= 1 << 20);
    });
}

#[test]
fn the_longest_stalled_go_when_nobody_is_idle() {
    let setup = Setup::inline(|request| {
        request.respond(200, [], Body::Owned(Bytes::from(vec![7; 1_000_000]))).unwrap();
    });
    setup.set("max_total_memory_bytes", "4MiB").capacity(4_096).run(async |host| {
        let mut peers = Vec::new();
        for _ in 0..3 {
            let mut peer = host.connect().await;
            peer.get("/").await;
            peers.push(peer);
            sleep(secs(1)).await;
        }
        // The first one reads, so that the second has waited for longest.
        peers[0].take(20_000).await;
        assert_eq!(host.limits(Reason::Memory), 0);
        let mut last = host.connect().await;
        last.get("/").await;
        host.closed(&peers[1], Phase::Response, Reason::Memory).await;
        assert_eq!(peers[1].rest().await.1, Ending::Reset);
        sleep(secs(1)).await;
        assert_eq!(host.limits(Reason::Memory), 1);
        assert_eq!(last.answer().await.content.len(), 1_000_000);
    });
}

#[test]
fn a_stalled_connection_of_http2_goes_at_once() {
    let setup = Setup::inline(|request| {
        request.respond(200, [], Body::Owned(Bytes::from(vec![7; 600_000]))).unwrap();
    });
    setup.set("max_total_memory_bytes", "1MiB").capacity(4_096).run(async |host| {
        let mut raws = Vec::new();
        for _ in 0..2 {
            let mut raw = Raw::open_with(host, &[(4, 1 << 20)]).await;
            raw.get(1, "/").await;
            raws.push(raw);
            sleep(secs(1)).await;
        }
        host.closed(&raws[0].peer, Phase::Streams, Reason::Memory).await;
        assert_eq!(raws[0].peer.rest().await.1, Ending::Reset);
        assert_eq!(host.phase(&raws[1].peer), Phase::Streams);
    });
}

#[test]
fn requests_are_refused_when_nobody_can_go() {
    Setup::kept().set("max_total_memory_bytes", "1MiB").run(async |host| {
        let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{:x<60000}", "");
        let mut kept = Vec::new();
        for _ in 0..18 {
            let mut peer = host.connect().await;
            peer.send(&post).await;
            kept.push((host.request().await, peer));
        }
        sleep(secs(1)).await;
        let mut peer = host.connect().await;
        peer.get("/").await;
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (503, false));
        assert!(answer.field("retry-after").is_some());
        assert_eq!(host.outcomes().pop(), Some((503, Reason::Memory)));
        // It is idle now, and makes room.
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Idle, Reason::Memory).await;
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 503);
        // The answers change nothing: what the program keeps counts until it lets go.
        for (request, peer) in &mut kept {
            hello(request);
            peer.answer().await;
            peer.try_finish().await.unwrap();
        }
        sleep(secs(1)).await;
        assert!(host.server.snapshot().memory_bytes > 1 << 20);
        assert_eq!(host.server.snapshot().connections_open, 0);
        kept.truncate(10);
        assert!(host.server.snapshot().memory_bytes < 700_000);
        let mut peer = host.connect().await;
        sleep(secs(1)).await;
        peer.get("/").await;
        hello(&host.request().await);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn content_that_was_seen_but_not_read_does_not_outlive_its_request() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        let request = host.request().await;
        let seen = request.exchange().buffered().unwrap().clone();
        hello(&request);
        drop(request);
        peer.answer().await;
        sleep(secs(1)).await;
        assert!(seen.is_unique(), "the memory of the exchange goes to the next one without it");
    });
}
