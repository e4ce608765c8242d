//! The other side of the clocks of streams: just before a limit the stream lives, a limit that is off never strikes, the total
//! limits strike in spite of progress, and behind a begun answer there is no status left to give.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{CANCEL, DATA, END_STREAM, HEADERS, NO_ERROR, PREFACE, Raw, WINDOW_UPDATE, block, frame};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, Read, Request};
use crate::tests::peer::{after, at, millis, secs};
use crate::tests::support::{Setup, hello, read_all};

const NOW: Option<Duration> = Some(Duration::ZERO);

/// Uploads are streamed, and no program takes too long.
fn streamed() -> Setup {
    Setup::kept().set("buffer_body_bytes", "0").set("handler_timeout", "off")
}

fn large(octets: usize) -> Setup {
    Setup::inline(move |request| request.respond(200, [], Body::Copied(&vec![7; octets])).unwrap())
}

async fn window(raw: &mut Raw, octets: u32) {
    raw.send(frame(WINDOW_UPDATE, 0, 1, &octets.to_be_bytes())).await;
}

/// RST_STREAM comes next on stream 1 besides content.
async fn reset(raw: &mut Raw) -> u32 {
    loop {
        let next = raw.next_of_note().await;
        if next.kind != DATA {
            return next.code();
        }
    }
}

async fn upload(raw: &mut Raw, host: &crate::tests::support::Host) -> Request {
    raw.post(1, &[]).await;
    let request = host.request().await;
    let _ = request.peek();
    request
}

#[test]
fn a_handler_that_answers_just_in_time_is_heard() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        sleep(millis(29_990)).await;
        hello(&kept);
        assert_eq!(raw.answer(1).await.0, 200);
    });
    Setup::kept().set("handler_timeout", "off").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        sleep(secs(3_000)).await;
        hello(&kept);
        assert_eq!(raw.answer(1).await.0, 200);
        assert_eq!(host.limits(Reason::HandlerTimeout), 0);
    });
}

#[test]
fn the_handler_s_clock_stands_while_content_is_awaited() {
    Setup::kept().set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let request = host.request().await;
        sleep(secs(10)).await;
        for _ in 0..4 {
            assert_eq!(request.read(&mut [0; 8_192], NOW), Ok(Read::Again));
            sleep(secs(14)).await;
            raw.send(frame(DATA, 0, 1, &[7; 8_000])).await;
            host.turn().await;
            assert_eq!(request.read(&mut [0; 8_192], NOW), Ok(Read::Octets(8_000)));
        }
        // Ten of the thirty seconds are spent, and what our own turns took.
        assert_eq!(at(millis(19_996), raw.head(1)).await, (504, true));
        assert_eq!(raw.reset(1).await, NO_ERROR);
        assert_eq!(host.outcomes(), [(504, Reason::HandlerTimeout)]);
    });
}

#[test]
fn content_just_before_the_idle_limit_starts_it_anew() {
    streamed().set("min_body_rate", "off").run(async |host| {
        let mut raw = Raw::open(host).await;
        let request = upload(&mut raw, host).await;
        let read = async {
            let content = read_all(&request).await;
            hello(&request);
            content
        };
        let send = async {
            for _ in 0..4 {
                sleep(millis(14_900)).await;
                raw.send(frame(DATA, 0, 1, b"x")).await;
            }
            sleep(millis(14_900)).await;
            raw.send(frame(DATA, END_STREAM, 1, b"x")).await;
            raw.answer(1).await
        };
        let (content, answer) = tokio::join!(read, send);
        assert_eq!((content.unwrap(), answer.0), (b"xxxxx".to_vec(), 200));
        assert_eq!(host.limits(Reason::BodyIdle), 0);
    });
}

#[test]
fn a_steady_upload_meets_only_the_total_limit() {
    streamed().set("body_timeout", "40s").run(async |host| {
        let mut raw = Raw::open(host).await;
        let request = upload(&mut raw, host).await;
        let began = Instant::now();
        let steady = async {
            for _ in 0..50 {
                sleep(secs(1)).await;
                raw.send(frame(DATA, 0, 1, &[7; 300])).await;
            }
        };
        tokio::select! {
            read = after(began, secs(40), read_all(&request)) => assert!(read.is_err()),
            () = steady => panic!("the limit strikes first"),
        }
        assert_eq!(raw.head(1).await, (408, true));
        assert_eq!(
            (host.outcomes(), host.limits(Reason::BodyTimeout)),
            (vec![(408, Reason::BodyTimeout)], 1)
        );
    });
}

#[test]
fn limits_of_content_that_are_off_let_a_drip_go_on() {
    streamed().set("min_body_rate", "off").set("body_idle_timeout", "off").run(async |host| {
        let mut raw = Raw::open(host).await;
        let request = upload(&mut raw, host).await;
        sleep(secs(1_000)).await;
        raw.send(frame(DATA, END_STREAM, 1, b"late")).await;
        assert_eq!(read_all(&request).await.unwrap(), b"late");
        hello(&request);
        assert_eq!(raw.answer(1).await.0, 200);
    });
}

#[test]
fn a_limit_of_content_behind_a_begun_answer_resets_the_stream_alone() {
    streamed().run(async |host| {
        let mut raw = Raw::open(host).await;
        let request = upload(&mut raw, host).await;
        request.begin(200, [], None).unwrap();
        assert_eq!(raw.head(1).await, (200, false));
        assert_eq!(request.read(&mut [0; 1], NOW), Ok(Read::Again));
        assert_eq!(at(millis(14_999), raw.reset(1)).await, CANCEL);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::BodyIdle)]);
        raw.get(3, "/").await;
        hello(&host.request().await);
        assert_eq!(raw.answer(3).await.0, 200);
    });
}

#[test]
fn a_steady_reader_meets_only_the_total_limit() {
    large(1_000_000).set("response_timeout", "40s").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        let began = Instant::now();
        for _ in 0..39 {
            sleep(secs(1)).await;
            window(&mut raw, 300).await;
        }
        assert_eq!(after(began, secs(40), reset(&mut raw)).await, CANCEL);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::WriteTimeout)]);
        assert_eq!((host.limits(Reason::WriteTimeout), host.phase(&raw.peer)), (1, Phase::Idle));
    });
}

#[test]
fn window_just_before_the_idle_limit_starts_it_anew() {
    large(300_000).set("min_write_rate", "off").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        for _ in 0..5 {
            sleep(millis(29_900)).await;
            window(&mut raw, 100).await;
        }
        assert_eq!(at(secs(30), reset(&mut raw)).await, CANCEL);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::WriteIdle)]);
    });
}

#[test]
fn limits_of_the_answer_that_are_off_let_a_slow_reader_go_on() {
    large(60_000).set("min_write_rate", "off").set("write_idle_timeout", "off").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        // The second is longer than what h2 holds, so that no flush clock runs.
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        sleep(millis(14_900)).await;
        window(&mut raw, 60_000).await;
        let mut content = 0;
        while content < 60_000 {
            content += raw.next_on(1).await.payload.len();
        }
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)], "a tail just in time");
    });
    large(300_000).set("min_write_rate", "off").set("write_idle_timeout", "off").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes())).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        sleep(secs(1_000)).await;
        window(&mut raw, 300_000).await;
        let mut content = 0;
        while content < 300_000 {
            content += raw.next_on(1).await.payload.len();
        }
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
    });
}

#[test]
fn a_header_block_that_ends_just_in_time_is_a_request() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        sleep(millis(9_900)).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        // A later one has a clock of its own.
        sleep(secs(20)).await;
        raw.send(frame(HEADERS, END_STREAM, 3, &block("GET", "/", &[]))).await;
        sleep(millis(9_900)).await;
        raw.send(frame(9, super::END_HEADERS, 3, &super::literal("x", "y"))).await;
        assert_eq!(raw.answer(3).await.0, 200);
        assert_eq!(host.limits(Reason::HeaderTimeout), 0);
    });
}

#[test]
fn a_request_just_before_the_idle_limit_starts_it_anew() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        for stream in [1, 3, 5] {
            raw.get(stream, "/").await;
            assert_eq!(raw.answer(stream).await.0, 200);
            sleep(millis(74_900)).await;
        }
        raw.get(7, "/").await;
        assert_eq!(raw.answer(7).await.0, 200);
        at(secs(75), raw.goaway()).await;
        assert_eq!(host.limits(Reason::IdleTimeout), 1);
    });
}

#[test]
fn a_preface_just_before_its_limit_is_served() {
    Setup::hello().tls().alpn("h2").run(async |host| {
        let mut peer = host.connect().await;
        sleep(millis(4_900)).await;
        peer.send(PREFACE).await;
        peer.send(frame(super::SETTINGS, 0, 0, &[])).await;
        peer.send(frame(HEADERS, END_STREAM | super::END_HEADERS, 1, &block("GET", "/", &[]))).await;
        sleep(secs(1)).await;
        assert_eq!((host.outcomes().len(), host.limits(Reason::H2PrefaceTimeout)), (1, 0));
    });
}
