//! Streams that were answered while their content is still coming.

use tokio::time::{Instant, timeout};

use super::{
    DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, HEADERS, NO_ERROR, PROTOCOL_ERROR, Raw, WINDOW_UPDATE,
    block, frame,
};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::tests::peer::{Ending, after, secs};
use crate::tests::support::{Host, Setup};

/// A server that answers at once, and a peer that it has answered on stream 1.
async fn answered_early(host: &Host) -> Raw {
    let mut raw = Raw::open(host).await;
    raw.post(1, &[("content-length", "100000")]).await;
    assert_eq!(raw.answer(1).await, (200, b"hello".to_vec()));
    raw
}

fn early() -> Setup {
    Setup::hello().set("buffer_body_bytes", "0")
}

#[test]
fn the_peer_is_asked_to_stop_when_the_linger_is_over() {
    early().run(async |host| {
        let began = Instant::now();
        let mut raw = answered_early(host).await;
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        assert_eq!(host.phase(&raw.peer), Phase::Idle);
        assert_eq!(after(began, secs(2), raw.reset(1)).await, NO_ERROR);
        raw.get(3, "/").await;
        assert_eq!(raw.answer(3).await.1, b"hello");
    });
}

#[test]
fn content_that_ends_in_time_is_not_reset() {
    early().run(async |host| {
        let mut raw = answered_early(host).await;
        for chunk in 0..100 {
            raw.send(frame(DATA, if chunk == 99 { END_STREAM } else { 0 }, 1, &[0; 1000])).await;
        }
        timeout(secs(10), raw.reset(1)).await.unwrap_err();
    });
}

#[test]
fn the_octets_that_are_thrown_away_are_bounded() {
    early().set("max_linger_bytes", "10KiB").run(async |host| {
        let began = Instant::now();
        let mut raw = answered_early(host).await;
        raw.send(frame(DATA, 0, 1, &[0; 10 * 1024 - 1])).await;
        timeout(secs(1), raw.reset(1)).await.unwrap_err();
        raw.send(frame(DATA, 0, 1, &[0; 1])).await;
        assert_eq!(after(began, secs(1), raw.reset(1)).await, NO_ERROR);
    });
}

#[test]
fn frames_that_carry_next_to_nothing_are_bounded_too() {
    early().set("max_linger_bytes", "640").run(async |host| {
        let began = Instant::now();
        let mut raw = answered_early(host).await;
        for _ in 0..10 {
            raw.send(frame(DATA, 0, 1, &[0; 1])).await;
        }
        assert_eq!(after(began, secs(0), raw.reset(1)).await, NO_ERROR);
    });
}

#[test]
fn none_lingers_where_that_is_off() {
    early().set("max_linger_bytes", "0").run(async |host| {
        let began = Instant::now();
        let mut raw = answered_early(host).await;
        assert_eq!(after(began, secs(0), raw.reset(1)).await, NO_ERROR);
    });
}

/// As a stream that was reset would not: what comes behind our own reset is ignored.
#[test]
fn a_violation_behind_an_early_answer_is_still_told() {
    early().run(async |host| {
        let mut raw = answered_early(host).await;
        raw.send(frame(HEADERS, END_HEADERS, 1, &block("POST", "/", &[]))).await;
        assert_eq!(raw.reset(1).await, PROTOCOL_ERROR);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
    });
}

#[test]
fn a_window_that_overflows_behind_an_early_answer_is_still_told() {
    early().run(async |host| {
        let mut raw = answered_early(host).await;
        let most = frame(WINDOW_UPDATE, 0, 1, &((1_u32 << 31) - 1).to_be_bytes());
        raw.send(&most).await;
        timeout(secs(1), raw.reset(1)).await.unwrap_err();
        raw.send(&most).await;
        assert_eq!(raw.reset(1).await, FLOW_CONTROL_ERROR);
        host.turn().await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
    });
}

#[test]
fn a_drain_does_not_wait_for_content_that_nobody_wants() {
    early().run(async |host| {
        let mut raw = answered_early(host).await;
        let began = Instant::now();
        host.server.shutdown(Some(secs(30)));
        assert_eq!(raw.goaway().await, (1, NO_ERROR));
        assert_eq!(raw.closed().await, Ending::Closed);
        after(began, secs(0), host.closed(&raw.peer, Phase::Flush, Reason::Drain)).await;
    });
}
