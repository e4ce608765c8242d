//! Answers: whole, streamed, empty, refused, in bursts.

use std::time::Duration;

use bytes::Bytes;

use super::{
    CANCEL, Client, DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, Raw,
    block, frame, secure,
};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;
use crate::tests::peer::Ending;
use crate::tests::support::{Setup, hello};

#[test]
fn a_real_client_gets_hello_over_tls() {
    secure(Setup::hello()).run(async |host| {
        let mut client = Client::connect(host).await;
        for _ in 0..3 {
            let (head, content) = client.get("/").await;
            assert_eq!((head.status.as_u16(), &content[..]), (200, &b"hello"[..]));
            assert_eq!(head.headers["content-length"], "5");
            assert!(head.headers.contains_key("date"));
        }
        drop(client.requests);
        client.connection.await.unwrap().unwrap();
        let record = host.closed_id(client.id, Phase::Idle, Reason::Complete).await;
        assert_eq!(record.requests, 3);
        assert_eq!(host.outcomes(), [(200, Reason::Complete); 3]);
        assert!(host.ended().iter().all(|record| record.bytes_out == 5));
    });
}

#[test]
fn a_hundred_streams_of_one_burst_are_answered_in_one() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        let requests: Vec<u8> = (0..100)
            .flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block("GET", "/", &[])))
            .collect();
        raw.send(requests).await;
        // h2 sends all heads, then all content: each answer would be in one piece if it had been written by itself.
        for n in 0..100 {
            let head = raw.next_of_note().await;
            assert_eq!((head.kind, head.stream), (HEADERS, 2 * n + 1));
        }
        for n in 0..100 {
            let content = raw.next_of_note().await;
            assert_eq!(
                (content.kind, content.stream, &content.payload[..]),
                (DATA, 2 * n + 1, &b"hello"[..])
            );
            assert!(content.ends_stream());
        }
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete); 100]);
        assert_eq!(host.phase(&raw.peer), Phase::Idle);
    });
}

#[test]
fn answers_from_elsewhere_come_back() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        raw.get(3, "/").await;
        let (first, second) = (host.request().await, host.request().await);
        assert_eq!(host.phase(&raw.peer), Phase::Streams);
        let answering = std::thread::spawn(move || {
            hello(&second);
            hello(&first);
        });
        answering.join().unwrap();
        assert_eq!(raw.answer(3).await, (200, b"hello".to_vec()));
        assert_eq!(raw.answer(1).await.1, b"hello");
    });
}

#[test]
fn head_and_204_carry_no_content() {
    Setup::inline(|request| {
        let status = if request.exchange().head().path() == b"/204" { 204 } else { 200 };
        request.respond(status, [], Body::Copied(b"hello")).unwrap();
    })
    .run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block("HEAD", "/", &[]))).await;
        assert_eq!(raw.head(1).await, (200, true));
        raw.get(3, "/204").await;
        assert_eq!(raw.head(3).await, (204, true));
        raw.get(5, "/").await;
        assert_eq!(raw.answer(5).await.1, b"hello");
    });
}

#[test]
fn trailers_and_hints_go_out() {
    secure(Setup::kept()).run(async |host| {
        let mut client = Client::connect(host).await;
        let request = http::Request::get("https://localhost/").body(()).unwrap();
        let (mut answer, _) = client.requests.send_request(request, true).unwrap();
        let kept = host.request().await;
        kept.inform(103, [(&b"link"[..], &b"</a>"[..])]).unwrap();
        let hint = std::future::poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!((hint.status().as_u16(), &hint.headers()["link"]), (103, &"</a>".parse().unwrap()));
        kept.begin(200, [], None).unwrap();
        assert_eq!(kept.write(b"content", Some(Duration::ZERO)).unwrap(), 7);
        kept.finish([(&b"x-sum"[..], &b"7"[..])]).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "content");
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["x-sum"], "7");
    });
}

#[test]
fn a_streamed_answer_waits_for_the_window() {
    Setup::kept().set("h2_send_buffer_bytes", "16KiB").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 1000)]).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        kept.begin(200, [], None).unwrap();
        let content = Bytes::from(vec![7; 100_000]);
        let mut written = kept.write(&content, Some(Duration::ZERO)).unwrap();
        assert_eq!(written, 16 * 1024);
        assert_eq!(raw.head(1).await, (200, false));
        assert_eq!(raw.next().await.payload.len(), 1000);
        host.turn().await;
        // What the socket took is room, and no more.
        let more = kept.write(&content, Some(Duration::ZERO)).unwrap();
        assert_eq!(more, 1000);
        written += more;
        let mut received = 1000;
        while received < written {
            raw.send(frame(super::WINDOW_UPDATE, 0, 1, &5000_u32.to_be_bytes())).await;
            let data = raw.next().await;
            assert!(data.payload.len() <= 5000);
            received += data.payload.len();
        }
        kept.finish([]).unwrap();
        assert!(raw.next().await.ends_stream());
    });
}

#[test]
fn a_dropped_request_is_a_500_and_an_aborted_one_is_reset() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        drop(host.request().await);
        assert_eq!(raw.head(1).await, (500, true));
        raw.get(3, "/").await;
        host.request().await.abort().unwrap();
        assert_eq!(raw.reset(3).await, INTERNAL_ERROR);
        raw.get(5, "/").await;
        let begun = host.request().await;
        begun.begin(200, [], None).unwrap();
        assert_eq!(raw.head(5).await, (200, false));
        drop(begun);
        assert_eq!(raw.reset(5).await, INTERNAL_ERROR);
        host.turn().await;
        let outcomes = [(500, Reason::HandlerFailed), (0, Reason::ProgramAbort), (200, Reason::ProgramAbort)];
        assert_eq!(host.outcomes(), outcomes);
    });
}

#[test]
fn malformed_heads_are_reset_and_the_connection_lives() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        let malformed = [
            block("GET", "/", &[("host", "b")]),
            block("GET", "/", &[("connection", "close")]),
            vec![0x82, 0x84, 0x86], // no authority
        ];
        for (n, block) in (0..3).zip(&malformed) {
            raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, block)).await;
            assert_eq!(raw.reset(2 * n + 1).await, PROTOCOL_ERROR, "{n}");
        }
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 9, &block("GET", "/", &[("expect", "x")]))).await;
        assert_eq!(raw.head(9).await, (417, true));
        raw.get(11, "/").await;
        assert_eq!(raw.answer(11).await, (200, b"hello".to_vec()));
        host.turn().await;
        assert_eq!(host.ended().len(), 5);
    });
}

#[test]
fn an_early_answer_ends_the_upload_without_an_error() {
    Setup::hello().set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "100000")]).await;
        assert_eq!(raw.answer(1).await, (200, b"hello".to_vec()));
        assert_eq!(raw.reset(1).await, NO_ERROR);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        raw.get(3, "/").await;
        assert_eq!(raw.answer(3).await.1, b"hello");
    });
}

#[test]
fn a_reset_cancels_and_keeps_the_slot_until_release() {
    Setup::kept().set("max_handlers_per_connection", "1").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        raw.send(frame(super::RESET, 0, 1, &CANCEL.to_be_bytes())).await;
        host.turn().await;
        assert_eq!(kept.cancelled(), Some(Reason::PeerReset));
        assert_eq!(host.server.snapshot().handlers_running, 1);
        raw.get(3, "/").await;
        assert_eq!(raw.head(3).await.0, 503);
        drop(kept);
        raw.get(5, "/").await;
        hello(&host.request().await);
        assert_eq!(raw.answer(5).await.1, b"hello");
        host.turn().await;
        let outcomes = [(0, Reason::PeerReset), (503, Reason::HandlerCapacity), (200, Reason::Complete)];
        assert_eq!(host.outcomes(), outcomes);
        assert_eq!(host.limits(Reason::HandlerCapacity), 1);
    });
}

#[test]
fn the_peer_s_end_lets_the_answer_out() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        raw.peer.finish().await;
        host.turn().await;
        assert_eq!(kept.cancelled(), Some(Reason::PeerClosed));
        hello(&kept);
        assert_eq!(raw.answer(1).await, (200, b"hello".to_vec()));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Idle, Reason::PeerClosed).await;
    });
}
