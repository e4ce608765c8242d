//! Each clock, just before its limit and just after.

use std::time::Duration;

use super::{
    CANCEL, DATA, ENHANCE_YOUR_CALM, HEADERS, NO_ERROR, PING, PREFACE, Raw, SETTINGS, SETTINGS_TIMEOUT,
    WINDOW_UPDATE, block, frame,
};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;
use crate::tests::peer::{Ending, after, at, millis, secs};
use crate::tests::support::{Setup, hello};

#[test]
fn a_preface_that_does_not_come_is_waited_for_no_longer() {
    Setup::hello().tls().alpn("h2").run(async |host| {
        let mut peer = host.connect().await;
        at(secs(5), peer.rest()).await;
        host.closed(&peer, Phase::Opening, Reason::H2PrefaceTimeout).await;
    });
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(PREFACE).await;
        at(secs(5), peer.rest()).await;
        host.closed(&peer, Phase::Opening, Reason::H2PrefaceTimeout).await;
        assert_eq!(host.limits(Reason::H2PrefaceTimeout), 1);
    });
}

#[test]
fn a_preface_in_pieces_has_one_clock() {
    for pieces in [[&b"PRI "[..], &b"* HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]], [PREFACE, b"\0\0"]] {
        Setup::hello().run(async |host| {
            let mut peer = host.connect().await;
            peer.send(pieces[0]).await;
            let rest = async {
                tokio::time::sleep(secs(3)).await;
                peer.send(pieces[1]).await;
                peer.rest().await
            };
            at(secs(5), rest).await;
            host.closed(&peer, Phase::Opening, Reason::H2PrefaceTimeout).await;
        });
    }
}

#[test]
fn settings_are_acknowledged_in_time_or_the_peer_is_told() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::begin(host, &[]).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        assert_eq!(at(secs(10), raw.goaway()).await, (1, SETTINGS_TIMEOUT));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::H2SettingsTimeout).await;
        assert_eq!(kept.cancelled(), Some(Reason::H2SettingsTimeout));
    });
}

#[test]
fn a_connection_without_a_request_ends_at_the_header_limit() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        assert_eq!(host.phase(&raw.peer), Phase::Header);
        assert_eq!(at(secs(10), raw.goaway()).await, (0, NO_ERROR));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::HeaderTimeout).await;
    });
}

#[test]
fn a_dripping_header_block_ends_at_the_header_limit() {
    // The first request of a connection, and a later one beside an open stream.
    for later in [false, true] {
        Setup::kept().run(async |host| {
            let mut raw = Raw::open(host).await;
            let mut kept = None;
            if later {
                raw.get(1, "/").await;
                kept = Some(host.request().await);
            }
            let began = tokio::time::Instant::now();
            raw.send(frame(HEADERS, 0, 3, &block("GET", "/", &[]))).await;
            let goaway = async {
                for n in 0..4 {
                    tokio::time::sleep(secs(2)).await;
                    raw.send(frame(9, 0, 3, &super::literal("x", &n.to_string()))).await;
                }
                raw.goaway().await.1
            };
            assert_eq!(after(began, secs(10), goaway).await, ENHANCE_YOUR_CALM);
            host.closed(&raw.peer, Phase::Flush, Reason::HeaderTimeout).await;
            assert_eq!(kept.and_then(|kept| kept.cancelled()), later.then_some(Reason::HeaderTimeout));
        });
    }
}

#[test]
fn idle_ends_with_a_goaway_and_ping_does_not_extend_it() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        let goaway = async {
            for _ in 0..7 {
                tokio::time::sleep(secs(10)).await;
                raw.send(frame(PING, 0, 0, &[0; 8])).await;
            }
            raw.goaway().await
        };
        assert_eq!(at(secs(75), goaway).await, (1, NO_ERROR));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::IdleTimeout).await;
    });
}

#[test]
fn a_handler_that_does_not_answer_gets_a_504_in_its_place() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        assert_eq!(at(secs(30), raw.head(1)).await, (504, true));
        assert_eq!(kept.cancelled(), Some(Reason::HandlerTimeout));
        assert_eq!(host.outcomes(), [(504, Reason::HandlerTimeout)]);
        assert_eq!(host.limits(Reason::HandlerTimeout), 1);
    });
}

#[test]
fn a_body_that_stops_is_408_and_the_stream_ends_without_an_error() {
    // Gathered by us, and asked for by the program.
    for buffer in ["64KiB", "0"] {
        Setup::kept().set("buffer_body_bytes", buffer).run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.post(1, &[("content-length", "100")]).await;
            let kept = if buffer == "0" { Some(host.request().await) } else { None };
            if let Some(kept) = &kept {
                let _ = kept.read(&mut [0; 1], Some(Duration::ZERO));
            }
            tokio::time::sleep(secs(5)).await;
            raw.send(frame(DATA, 0, 1, b"a")).await;
            let began = tokio::time::Instant::now();
            if let Some(kept) = &kept {
                host.turn().await;
                let _ = kept.read(&mut [0; 1], Some(Duration::ZERO));
                let _ = kept.read(&mut [0; 1], Some(Duration::ZERO));
            }
            assert_eq!(after(began, secs(15), raw.head(1)).await, (408, true));
            assert_eq!(raw.reset(1).await, NO_ERROR);
            host.turn().await;
            assert_eq!(host.outcomes(), [(408, Reason::BodyIdle)]);
            assert_eq!(host.limits(Reason::BodyIdle), 1);
        });
    }
}

#[test]
fn a_body_below_the_rate_is_408() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[("content-length", "1000")]).await;
        let drip = async {
            for _ in 0..20 {
                tokio::time::sleep(secs(1)).await;
                raw.send(frame(DATA, 0, 1, &[7; 1])).await;
            }
            raw.head(1).await
        };
        assert_eq!(at(secs(20), drip).await, (408, true));
        assert_eq!(host.outcomes(), [(408, Reason::BodyRate)]);
    });
}

#[test]
fn a_stream_whose_window_stays_shut_is_reset() {
    // More than the send buffer holds: the response clock. A tail: the flush clock.
    for (length, limit, reason) in
        [(200_000, secs(30), Reason::WriteIdle), (1_000, secs(15), Reason::FlushTimeout)]
    {
        Setup::inline(move |request| {
            request.respond(200, [], Body::Copied(&vec![7; length])).unwrap();
        })
        .set("min_write_rate", "off")
        .run(async |host| {
            let mut raw = Raw::open_with(host, &[(4, 0)]).await;
            raw.get(1, "/").await;
            assert_eq!(raw.head(1).await, (200, false));
            assert_eq!(at(limit, raw.reset(1)).await, CANCEL);
            host.turn().await;
            assert_eq!(host.outcomes(), [(200, reason)]);
            assert_eq!(host.limits(reason), 1);
            assert_eq!(host.phase(&raw.peer), Phase::Idle);
        });
    }
}

#[test]
fn a_drip_of_window_is_no_progress() {
    Setup::inline(|request| {
        request.respond(200, [], Body::Copied(&[7; 200_000])).unwrap();
    })
    .run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 0)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        let drip = async {
            for _ in 0..20 {
                tokio::time::sleep(secs(1)).await;
                raw.send(frame(WINDOW_UPDATE, 0, 1, &100_u32.to_be_bytes())).await;
            }
            loop {
                let next = raw.next_of_note().await;
                if next.kind != DATA {
                    return next.code();
                }
            }
        };
        // 19 of 100 octets give back 7.9 s of the 20.
        let began = tokio::time::Instant::now();
        assert_eq!(drip.await, CANCEL);
        assert!((secs(27)..secs(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::WriteRate)]);
    });
}

#[test]
fn a_drip_of_window_for_all_streams_is_counted_in_content() {
    Setup::inline(|request| {
        request.respond(200, [], Body::Copied(&[7; 200_000])).unwrap();
    })
    .run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 1 << 20)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        let mut octets = 0;
        while octets < 65_535 {
            octets += raw.next_of_note().await.payload.len();
        }
        let began = tokio::time::Instant::now();
        // With the heads of their frames these are 264 octets a second, above the rate of 240; without them 192, and a fifth of
        // each second is lost. Each costs one glitch, of which eight a second come back.
        let reset = loop {
            raw.send(frame(WINDOW_UPDATE, 0, 0, &24_u32.to_be_bytes())).await;
            tokio::time::sleep(millis(125)).await;
            let next = raw.next_of_note().await;
            if next.kind != DATA {
                break next;
            }
        };
        assert_eq!(reset.code(), CANCEL);
        assert!((secs(98)..secs(105)).contains(&began.elapsed()), "{:?}", began.elapsed());
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::WriteRate)]);
    });
}

#[test]
fn a_stalled_socket_is_reset_with_all_its_streams() {
    for (length, limit, reason) in
        [(200_000, secs(30), Reason::WriteIdle), (60_000, secs(15), Reason::FlushTimeout)]
    {
        Setup::inline(move |request| {
            request.respond(200, [], Body::Copied(&vec![7; length])).unwrap();
        })
        .set("min_write_rate", "off")
        .capacity(4 * 1024)
        .run(async |host| {
            let mut raw = Raw::open_with(host, &[(4, 1 << 20)]).await;
            raw.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes())).await;
            raw.get(1, "/").await;
            let began = tokio::time::Instant::now();
            host.closed(&raw.peer, Phase::Streams, reason).await;
            assert!((limit..limit + millis(210)).contains(&began.elapsed()), "{:?}", began.elapsed());
            assert_eq!(raw.peer.rest().await.1, Ending::Reset);
            assert_eq!(host.outcomes(), [(200, reason)]);
        });
    }
}

#[test]
fn an_upload_beside_a_stalled_socket_goes_on_and_does_not_spin() {
    Setup::kept().capacity(4 * 1024).set("buffer_body_bytes", "0").run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 1 << 20)]).await;
        raw.get(1, "/").await;
        let stalled = host.request().await;
        stalled.respond(200, [], Body::Copied(&[7; 60_000])).unwrap();
        raw.post(3, &[]).await;
        let upload = host.request().await;
        let mut content = [0; 4096];
        for _ in 0..10 {
            let _ = upload.read(&mut content, Some(Duration::ZERO));
            raw.send(frame(DATA, 0, 3, &[7; 1000])).await;
            // On a spinning reactor the paused clock would stand still for ever.
            tokio::time::sleep(secs(1)).await;
            assert_eq!(
                upload.read(&mut content, Some(Duration::ZERO)),
                Ok(crate::request::Read::Octets(1000))
            );
        }
        host.closed(&raw.peer, Phase::Streams, Reason::FlushTimeout).await;
    });
}

#[test]
fn a_shut_connection_window_is_charged_to_the_connection() {
    Setup::inline(|request| {
        request.respond(200, [], Body::Copied(&[7; 200_000])).unwrap();
    })
    .set("min_write_rate", "off")
    .run(async |host| {
        let mut raw = Raw::open_with(host, &[(4, 1 << 20)]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.head(1).await, (200, false));
        let reset = async {
            loop {
                let next = raw.next_of_note().await;
                if next.kind != DATA {
                    return next.code();
                }
            }
        };
        assert_eq!(at(secs(30), reset).await, CANCEL);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::WriteIdle)]);
    });
}

#[test]
fn an_old_connection_is_told_to_go_and_finishes() {
    Setup::kept().set("max_connection_age", "100s").set("handler_timeout", "off").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        let began = tokio::time::Instant::now();
        assert_eq!(raw.goaway().await, (0x7fff_ffff, NO_ERROR));
        assert!((secs(90)..secs(111)).contains(&began.elapsed()));
        let ping = raw.next().await;
        assert_eq!(ping.kind, PING);
        raw.send(frame(PING, super::ACK, 0, &ping.payload)).await;
        assert_eq!(raw.goaway().await, (1, NO_ERROR));
        // Behind the second GOAWAY a stream is ignored.
        raw.get(3, "/").await;
        hello(&kept);
        assert_eq!(raw.answer(1).await.0, 200);
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Streams, Reason::Age).await;
        assert_eq!(host.ended().len(), 1);
    });
}

#[test]
fn a_busy_connection_is_told_to_go_after_an_hour_unless_the_age_is_off() {
    for age in ["1h", "off"] {
        Setup::kept().set("max_connection_age", age).set("handler_timeout", "off").run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.get(1, "/").await;
            let kept = host.request().await;
            let told = tokio::time::timeout(secs(2 * 3_600), raw.goaway());
            if age == "off" {
                assert!(told.await.is_err());
                assert_eq!(host.limits(Reason::Age), 0);
            } else {
                let born = tokio::time::Instant::now();
                assert_eq!(told.await.unwrap(), (0x7fff_ffff, NO_ERROR));
                assert!((secs(54 * 60)..=secs(67 * 60)).contains(&born.elapsed()), "{:?}", born.elapsed());
            }
            hello(&kept);
            assert_eq!(raw.answer(1).await.0, 200);
        });
    }
}

#[test]
fn settings_are_no_activity_either() {
    Setup::hello().set("idle_timeout", "3s").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        let goaway = async {
            tokio::time::sleep(secs(2)).await;
            raw.send(frame(SETTINGS, 0, 0, &[])).await;
            raw.goaway().await
        };
        at(secs(3), goaway).await;
    });
}

#[test]
fn frames_that_are_no_streams_have_the_flush_clock() {
    Setup::hello().capacity(512).set("flush_timeout", "4s").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        host.turn().await;
        let began = tokio::time::Instant::now();
        raw.send(frame(PING, 0, 0, &[0; 8]).repeat(60)).await;
        host.turn().await;
        assert_eq!(host.phase(&raw.peer), Phase::Flush);
        host.closed(&raw.peer, Phase::Flush, Reason::FlushTimeout).await;
        assert!((secs(4)..millis(4_210)).contains(&began.elapsed()), "{:?}", began.elapsed());
    });
}

#[test]
fn a_reader_that_comes_and_goes_does_not_extend_the_idle_clock() {
    Setup::hello().capacity(512).set("idle_timeout", "6s").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        let goaway = async {
            raw.send(frame(PING, 0, 0, &[0; 8]).repeat(60)).await;
            tokio::time::sleep(secs(3)).await;
            // All that was held back is read, and the connection is idle again.
            raw.goaway().await
        };
        at(secs(6), goaway).await;
    });
}

#[test]
fn settings_that_are_acknowledged_just_in_time_are_well() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::begin(host, &[]).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        tokio::time::sleep(millis(9_900)).await;
        raw.send(frame(SETTINGS, super::ACK, 0, &[])).await;
        tokio::time::sleep(secs(5)).await;
        assert_eq!((host.phase(&raw.peer), host.limits(Reason::H2SettingsTimeout)), (Phase::Idle, 0));
    });
}

#[test]
fn a_listener_without_http2_refuses_its_preface() {
    Setup::kept().set("http2", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(PREFACE).await;
        assert_eq!(peer.answer().await.status, 505);
        assert!(!host.is_request_waiting());
    });
}
