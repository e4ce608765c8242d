//! Content on its way in: buffered, streamed, bounded.

use std::time::Duration;

use super::{
    DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, HEADERS, NO_ERROR, PROTOCOL_ERROR, RESET, Raw, frame,
    literal,
};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, Read, Request, RequestError};
use crate::tests::support::{Setup, hello};

const NOW: Option<Duration> = Some(Duration::ZERO);

pub(super) fn read(request: &Request) -> Result<Vec<u8>, RequestError> {
    let mut content = vec![0; 1 << 20];
    Ok(match request.read(&mut content, NOW)? {
        Read::Octets(length) => content[..length].to_vec(),
        _ => Vec::new(),
    })
}

#[test]
fn a_small_body_comes_with_the_request() {
    Setup::inline(|request| {
        let body = request.exchange().buffered().unwrap().clone();
        request.respond(200, [], Body::Owned(body)).unwrap();
    })
    .run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "6")]).await;
        raw.send(frame(DATA, 0, 1, b"abc")).await;
        host.turn().await;
        assert!(host.ended().is_empty());
        raw.send(frame(DATA, END_STREAM, 1, b"def")).await;
        assert_eq!(raw.answer(1).await, (200, b"abcdef".to_vec()));
        host.turn().await;
        assert_eq!(host.ended()[0].bytes_in, 6);
    });
}

#[test]
fn a_streamed_body_returns_window_only_as_it_is_read() {
    Setup::kept().set("h2_stream_window_bytes", "64KiB").set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let kept = host.request().await;
        for _ in 0..4 {
            raw.send(frame(DATA, 0, 1, &[7; 16 * 1024 - 256])).await;
        }
        host.turn().await;
        raw.peer.quiet(Duration::from_secs(5)).await;
        assert_eq!(read(&kept).unwrap(), b"");
        host.turn().await;
        let mut taken = 0;
        while taken < 4 * (16 * 1024 - 256) {
            taken += read(&kept).unwrap().len();
        }
        while raw.next().await.stream != 1 {}
        raw.send(frame(DATA, END_STREAM, 1, b"end")).await;
        host.turn().await;
        assert_eq!(read(&kept).unwrap(), b"end");
        assert_eq!(kept.read(&mut [0; 1], NOW), Ok(Read::End));
        hello(&kept);
        assert_eq!(raw.answer(1).await.1, b"hello");
    });
}

#[test]
fn trailers_of_the_peer_are_kept() {
    for announced in [&[][..], &[("content-length", "3")]] {
        Setup::kept().run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.post(1, announced).await;
            raw.send(frame(DATA, 0, 1, b"abc")).await;
            let trailers = [literal("x-sum", "3"), literal("host", "b")].concat();
            raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers)).await;
            let kept = host.request().await;
            let _ = kept.read(&mut [], NOW);
            host.turn().await;
            assert_eq!(read(&kept).unwrap(), b"abc");
            assert_eq!(kept.read(&mut [0; 1], NOW), Ok(Read::End));
            assert_eq!(kept.trailers().unwrap().block(), b"x-sum\x003\0");
            hello(&kept);
            assert_eq!(raw.answer(1).await.1, b"hello");
        });
    }
}

#[test]
fn trailers_with_a_pseudo_field_are_reset_and_content_in_front_of_them_is_not_complete() {
    // Streamed, and gathered by us.
    for announced in [&[][..], &[("content-length", "3")]] {
        Setup::kept().run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.post(1, announced).await;
            raw.send(frame(DATA, 0, 1, b"abc")).await;
            raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &literal(":path", "/2"))).await;
            if announced.is_empty() {
                let kept = host.request().await;
                let _ = read(&kept);
                assert_eq!(raw.reset(1).await, PROTOCOL_ERROR);
                assert_eq!(kept.cancelled(), Some(Reason::HeaderPolicy));
                assert_eq!(read(&kept).unwrap(), b"abc");
                assert_eq!(read(&kept), Err(RequestError::Cancelled(Reason::HeaderPolicy)));
            } else {
                assert_eq!(raw.reset(1).await, PROTOCOL_ERROR);
                assert!(!host.is_request_waiting());
            }
            host.turn().await;
            assert_eq!(host.outcomes(), [(0, Reason::HeaderPolicy)]);
        });
    }
}

#[test]
fn a_body_over_the_cap_is_413() {
    // Announced and small enough to be gathered: before the program sees it.
    Setup::hello().set("max_body_bytes", "10").run(async |host| {
        let mut raw = Raw::open(host).await;
        for (stream, length) in [(1, "10"), (3, "11")] {
            raw.post(stream, &[("content-length", length)]).await;
            raw.send(frame(DATA, END_STREAM, stream, &vec![7; length.parse().unwrap()])).await;
        }
        assert_eq!(raw.answer(1).await.0, 200);
        assert_eq!(raw.head(3).await, (413, true));
        host.turn().await;
        // A refusal is over when it is given, an answer when it is taken.
        assert_eq!(host.outcomes(), [(413, Reason::BodySize), (200, Reason::Complete)]);
        assert_eq!(host.limits(Reason::BodySize), 1);
    });
    // Announced: at the program's first read; without a length: when the cap is passed.
    Setup::kept().set("max_body_bytes", "10").set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "11")]).await;
        let kept = host.request().await;
        assert_eq!(read(&kept), Err(RequestError::TooLarge));
        assert_eq!(raw.head(1).await, (413, true));
        assert_eq!(raw.reset(1).await, NO_ERROR);
        assert_eq!(kept.cancelled(), Some(Reason::BodySize));
        raw.post(3, &[]).await;
        let kept = host.request().await;
        assert_eq!(read(&kept), Ok(Vec::new()));
        raw.send(frame(DATA, 0, 3, &[7; 10])).await;
        host.turn().await;
        assert_eq!(read(&kept).unwrap().len(), 10);
        raw.send(frame(DATA, 0, 3, &[7; 1])).await;
        assert!(raw.head(3).await.1);
        assert_eq!(raw.reset(3).await, NO_ERROR);
        host.turn().await;
        assert_eq!(host.outcomes(), [(413, Reason::BodySize); 2]);
    });
}

#[test]
fn an_expected_body_is_asked_for_at_the_first_read() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "3"), ("expect", "100-continue")]).await;
        let kept = host.request().await;
        raw.peer.quiet(Duration::from_secs(1)).await;
        assert_eq!(read(&kept), Ok(Vec::new()));
        assert_eq!(raw.head(1).await, (100, false));
        raw.send(frame(DATA, END_STREAM, 1, b"abc")).await;
        host.turn().await;
        assert_eq!(read(&kept).unwrap(), b"abc");
        hello(&kept);
        assert_eq!(raw.answer(1).await, (200, b"hello".to_vec()));
    });
}

#[test]
fn a_cut_body_is_never_complete() {
    Setup::kept().set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let kept = host.request().await;
        assert_eq!(read(&kept), Ok(Vec::new()));
        raw.send(frame(DATA, 0, 1, b"abc")).await;
        raw.peer.finish().await;
        host.turn().await;
        assert_eq!(read(&kept).unwrap(), b"abc");
        assert_eq!(read(&kept), Err(RequestError::Cancelled(Reason::PeerClosed)));
        hello(&kept);
        assert_eq!(raw.answer(1).await.1, b"hello");
        host.closed(&raw.peer, Phase::Idle, Reason::PeerClosed).await;
    });
}

#[test]
fn a_program_that_lets_go_of_a_cut_body_is_not_the_culprit() {
    for in_buffer in ["0", "64KiB"] {
        Setup::kept().set("buffer_body_bytes", in_buffer).run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.post(1, &[]).await;
            let kept = host.request().await;
            raw.send(frame(DATA, 0, 1, b"abc")).await;
            host.turn().await;
            raw.peer.finish().await;
            host.turn().await;
            drop(kept);
            host.closed(&raw.peer, Phase::Idle, Reason::PeerClosed).await;
            assert_eq!(host.outcomes(), [(400, Reason::PeerClosed)]);
        });
    }
}

#[test]
fn a_body_that_belies_its_length_is_reset() {
    Setup::kept().set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "3")]).await;
        let kept = host.request().await;
        raw.send(frame(DATA, END_STREAM, 1, b"abcd")).await;
        let reset = raw.next_of_note().await;
        assert_eq!((reset.kind, reset.stream), (RESET, 1));
        host.turn().await;
        assert_eq!(kept.cancelled(), Some(Reason::H2Protocol));
    });
}

#[test]
fn content_of_exactly_the_buffer_comes_with_the_request() {
    Setup::kept().set("buffer_body_bytes", "1000").run(async |host| {
        let mut raw = Raw::open(host).await;
        for (stream, octets, buffered) in [(1, 1_000, true), (3, 1_001, false)] {
            raw.post(stream, &[("content-length", &octets.to_string())]).await;
            raw.send(frame(DATA, END_STREAM, stream, &vec![7; octets])).await;
            let request = host.request().await;
            assert_eq!(request.exchange().buffered().is_some(), buffered, "{octets}");
            hello(&request);
            assert_eq!(raw.answer(stream).await.0, 200);
        }
    });
}

#[test]
fn a_stream_takes_exactly_its_window_unread() {
    let setup = Setup::kept().set("h2_stream_window_bytes", "20KiB").set("buffer_body_bytes", "0");
    setup.run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let kept = host.request().await;
        raw.send(frame(DATA, 0, 1, &[7; 16 * 1024])).await;
        raw.send(frame(DATA, 0, 1, &[7; 4 * 1024])).await;
        raw.peer.quiet(Duration::from_secs(1)).await;
        assert_eq!(kept.cancelled(), None);
        raw.send(frame(DATA, 0, 1, &[7; 1])).await;
        assert_eq!(raw.reset(1).await, FLOW_CONTROL_ERROR);
        host.turn().await;
        assert!(kept.cancelled().is_some());
    });
}

#[test]
fn a_connection_takes_exactly_its_window_unread() {
    let setup = Setup::kept().set("h2_connection_window_bytes", "70000").set("buffer_body_bytes", "0");
    setup.run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let kept = host.request().await;
        for _ in 0..7 {
            raw.send(frame(DATA, 0, 1, &[7; 10_000])).await;
        }
        host.turn().await;
        assert_eq!(kept.cancelled(), None);
        raw.send(frame(DATA, 0, 1, &[7; 1])).await;
        assert_eq!(raw.goaway().await.1, FLOW_CONTROL_ERROR);
        host.closed(&raw.peer, Phase::Streams, Reason::H2Protocol).await;
    });
}

#[test]
fn a_writer_has_exactly_the_room_of_the_send_buffer() {
    Setup::kept().set("h2_send_buffer_bytes", "20KiB").run(async |host| {
        // Neither window lets an octet go.
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.get(1, "/").await;
        let request = host.request().await;
        request.begin(200, [], None).unwrap();
        assert_eq!(request.write(&[7; 30_000], NOW), Ok(20 * 1024));
        host.turn().await;
        assert_eq!(request.write(&[7; 1], NOW), Ok(0));
        request.abort().unwrap();
    });
}
