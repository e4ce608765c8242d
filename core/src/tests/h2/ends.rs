//! How a connection ends: by the server's order, by the peer, by a fault.

use super::{
    DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, RESET, Raw,
    frame, literal,
};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::tests::peer::{Ending, at, secs};
use crate::tests::support::{Setup, hello};

#[test]
fn a_drain_closes_an_idle_connection_at_once() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        host.server.shutdown(Some(secs(30)));
        assert_eq!(raw.goaway().await, (1, NO_ERROR));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::Drain).await;
    });
}

#[test]
fn a_drain_lets_streams_finish_between_two_goaways() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        host.server.shutdown(Some(secs(30)));
        assert_eq!(raw.goaway().await, (0x7fff_ffff, NO_ERROR));
        let ping = raw.next().await;
        // On its way when the first GOAWAY was sent: still served.
        raw.get(3, "/").await;
        raw.send(frame(PING, super::ACK, 0, &ping.payload)).await;
        assert_eq!(raw.goaway().await, (3, NO_ERROR));
        raw.get(5, "/").await;
        let second = host.request().await;
        hello(&kept);
        assert_eq!(raw.answer(1).await.1, b"hello");
        hello(&second);
        assert_eq!(raw.answer(3).await.1, b"hello");
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Streams, Reason::Drain).await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete); 2]);
    });
}

#[test]
fn at_the_end_of_a_drain_what_is_left_is_reset() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        host.server.shutdown(Some(secs(20)));
        assert_eq!(raw.goaway().await, (0x7fff_ffff, NO_ERROR));
        assert_eq!(raw.next().await.kind, PING);
        let ending = at(secs(20), raw.closed()).await;
        assert_eq!(ending, Ending::Reset);
        assert_eq!(kept.cancelled(), Some(Reason::Drain));
        host.closed(&raw.peer, Phase::Streams, Reason::Drain).await;
        assert_eq!(host.outcomes(), [(0, Reason::Drain)]);
    });
}

#[test]
fn the_last_request_that_a_connection_may_carry_is_followed_by_a_goaway() {
    Setup::hello().set("max_requests_per_connection", "2").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        raw.get(3, "/").await;
        let mut goaway = false;
        loop {
            let next = raw.next_of_note().await;
            goaway |= next.kind == super::GOAWAY;
            if next.kind == PING {
                raw.send(frame(PING, super::ACK, 0, &next.payload)).await;
                break;
            }
        }
        assert!(goaway);
        raw.peer.rest().await;
        host.closed(&raw.peer, Phase::Idle, Reason::Requests).await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete); 2]);
    });
}

#[test]
fn a_breach_of_the_protocol_is_answered_with_its_goaway() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        raw.send(frame(DATA, 0, 0, b"x")).await;
        assert_eq!(raw.goaway().await.1, PROTOCOL_ERROR);
        host.closed(&raw.peer, Phase::Streams, Reason::H2Protocol).await;
        assert_eq!(kept.cancelled(), Some(Reason::H2Protocol));
    });
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(PREFACE).await;
        peer.send(frame(PING, 0, 0, &[0; 8])).await;
        peer.rest().await;
        host.closed(&peer, Phase::Flush, Reason::H2Protocol).await;
    });
}

#[test]
fn a_peer_that_goes_takes_its_streams_along() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        let id = raw.peer.id;
        raw.peer.reset();
        host.turn().await;
        let _ = kept.begin(200, [], None);
        host.closed_id(id, Phase::Streams, Reason::PeerReset).await;
        assert_eq!(kept.cancelled(), Some(Reason::PeerReset));
    });
}

#[test]
fn an_idle_peer_may_just_go() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        raw.peer.finish().await;
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Idle, Reason::PeerClosed).await;
    });
}

#[test]
fn an_idle_connection_makes_room_for_a_newcomer() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        assert_eq!(raw.answer(1).await.0, 200);
        host.turn().await;
        assert!(host.shared.registry.evict_longest_idle(Reason::AcceptLimit));
        assert_eq!(raw.goaway().await, (1, NO_ERROR));
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::AcceptLimit).await;
        assert_eq!(host.limits(Reason::AcceptLimit), 1);
    });
}

#[test]
fn a_request_that_has_just_come_is_not_cut_for_a_newcomer() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        hello(&host.request().await);
        assert_eq!(raw.answer(1).await.0, 200);
        host.turn().await;
        raw.get(3, "/").await;
        assert!(host.shared.registry.evict_longest_idle(Reason::AcceptLimit));
        hello(&host.request().await);
        assert_eq!(raw.answer(3).await.0, 200);
        host.turn().await;
        assert_eq!((host.phase(&raw.peer), host.limits(Reason::AcceptLimit)), (Phase::Idle, 0));
    });
}

#[test]
fn a_stop_resets_what_is_under_way_and_closes_what_is_not() {
    Setup::kept().run(async |host| {
        let mut busy = Raw::open(host).await;
        busy.get(1, "/").await;
        let kept = host.request().await;
        let mut idle = Raw::open(host).await;
        host.server.shutdown(Some(std::time::Duration::ZERO));
        assert_eq!(busy.peer.rest().await.1, Ending::Reset);
        assert_eq!(kept.cancelled(), Some(Reason::ProgramStop));
        assert_eq!(idle.goaway().await, (0, NO_ERROR));
        assert_eq!(idle.closed().await, Ending::Closed);
        host.closed(&busy.peer, Phase::Streams, Reason::ProgramStop).await;
    });
}

#[test]
fn malformed_content_ends_one_request_and_is_no_second_one() {
    let malformed = [
        (Some("5"), frame(DATA, END_STREAM, 1, b"abc")),
        (Some("5"), frame(DATA, END_STREAM, 1, b"abcdef")),
        (None, frame(HEADERS, END_STREAM | END_HEADERS, 1, &literal("connection", "close"))),
    ];
    for (length, rest) in malformed {
        for buffered in ["0", "64KiB"] {
            Setup::kept().set("buffer_body_bytes", buffered).run(async |host| {
                let mut raw = Raw::open(host).await;
                let announced: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
                raw.post(1, &announced).await;
                host.turn().await;
                raw.send(rest.clone()).await;
                assert_eq!(raw.next_of_note().await.kind, RESET);
                // Of no request at all: a stream that depends on itself.
                raw.send(frame(PRIORITY, 0, 3, &[0, 0, 0, 3, 0])).await;
                assert_eq!(raw.next_of_note().await.kind, RESET);
                host.turn().await;
                assert_eq!(host.outcomes(), [(0, Reason::H2Protocol)]);
                while host.is_request_waiting() {
                    drop(host.request().await);
                }
            });
        }
    }
}
