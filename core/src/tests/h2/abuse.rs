//! Caps at N and N + 1, and floods: what the peer sees, and that the connection pays for it alone.

use super::content::read;
use super::{
    CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, REFUSED_STREAM, RESET,
    Raw, block, frame,
};
use crate::http::h2::Glitch;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::tests::peer::{Ending, secs};
use crate::tests::support::{Host, Setup, hello};

/// Size of the list of [`block`] for `GET /` without fields (RFC 9113 §6.5.2).
const EMPTY_LIST: usize = 4 * 32 + ":method:scheme:path:authority".len() + "GEThttp/a".len();

#[test]
fn a_header_list_of_exactly_the_cap_passes() {
    Setup::hello().set("max_header_bytes", "1000").run(async |host| {
        let mut raw = Raw::open(host).await;
        for (stream, size, status) in [(1, 1000, 200), (3, 1001, 431), (5, 1990, 431)] {
            let value = "x".repeat(size - EMPTY_LIST - 33);
            raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", "/", &[("a", &value)])))
                .await;
            let (seen, end) = raw.head(stream).await;
            if stream < 5 {
                assert_eq!(seen, status, "{size}");
            }
            if !end {
                assert!(raw.next_of_note().await.ends_stream());
            }
        }
        host.turn().await;
        let outcomes = [(200, Reason::Complete), (431, Reason::HeaderBytes), (431, Reason::HeaderBytes)];
        assert_eq!(host.outcomes(), outcomes);
        assert_eq!(host.limits(Reason::HeaderBytes), 2);
    });
}

#[test]
fn a_header_list_of_more_than_twice_the_cap_is_refused_by_h2_and_counted() {
    Setup::hello().set("max_header_bytes", "1000").run(async |host| {
        let mut raw = Raw::open(host).await;
        // Within twice the cap on the wire, since the 32 of each field are not sent.
        let fields = vec![("a", "b"); 60];
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block("GET", "/", &fields))).await;
        assert_eq!(raw.head(1).await, (431, true));
        host.turn().await;
        assert_eq!(host.outcomes(), [(431, Reason::HeaderBytes)]);
        raw.get(3, "/").await;
        assert_eq!(raw.answer(3).await.0, 200);
    });
}

#[test]
fn a_header_block_of_more_than_twice_the_cap_ends_the_connection() {
    Setup::hello().set("max_header_bytes", "1000").run(async |host| {
        let mut raw = Raw::open(host).await;
        let value = "x".repeat(3000);
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block("GET", "/", &[("a", &value)]))).await;
        assert_eq!(raw.goaway().await.1, ENHANCE_YOUR_CALM);
        host.closed(&raw.peer, Phase::Flush, Reason::HeaderBytes).await;
    });
}

#[test]
fn fields_and_targets_have_caps() {
    let setup = Setup::hello().set("max_header_fields", "3").set("max_target_bytes", "10");
    setup.run(async |host| {
        let mut raw = Raw::open(host).await;
        let cases = [(3, "/", 200), (4, "/", 431), (0, "/234567890", 200), (0, "/2345678901", 414)];
        for (n, (fields, path, status)) in (0..).zip(cases) {
            let stream = 2 * n + 1;
            let block = block("GET", path, &vec![("a", "b"); fields]);
            raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)).await;
            let (seen, end) = raw.head(stream).await;
            assert!(seen == status, "{seen} {status}");
            if !end {
                raw.next_of_note().await;
            }
        }
        assert_eq!((host.limits(Reason::HeaderFields), host.limits(Reason::HeaderTarget)), (1, 1));
    });
}

#[test]
fn streams_over_the_cap_are_refused_and_cost_nothing() {
    Setup::kept().set("h2_max_concurrent_streams", "2").run(async |host| {
        let mut raw = Raw::open(host).await;
        for stream in [1, 3, 5] {
            raw.get(stream, "/").await;
        }
        assert_eq!(raw.reset(5).await, REFUSED_STREAM);
        for stream in [1, 3] {
            hello(&host.request().await);
            assert_eq!(raw.answer(stream).await.1, b"hello");
        }
        host.turn().await;
        assert_eq!(host.ended().len(), 2);
    });
}

#[test]
fn a_ping_flood_ends_in_enhance_your_calm() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.send(frame(PING, 0, 0, &[0; 8]).repeat(200)).await;
        let (mut warned, code) = (
            false,
            loop {
                let next = raw.next_of_note().await;
                if next.kind == GOAWAY && next.code() != 0 {
                    break next.code();
                }
            },
        );
        warned |= code == ENHANCE_YOUR_CALM;
        assert!(warned);
        host.closed(&raw.peer, Phase::Flush, Reason::H2Glitches).await;
        assert_eq!(host.limits(Reason::H2Glitches), 1);
        let pings = host.shared.sum().total(crate::counters::GLITCHES, 2);
        assert_eq!(pings, 100);
    });
}

/// Charges for tiny DATA, by the place of their kind in the metrics.
fn charges_for_data(host: &Host) -> u64 {
    host.shared.sum().total(crate::counters::GLITCHES, Glitch::Data as usize)
}

#[test]
fn tiny_data_that_nobody_reads_is_charged() {
    for octets in [0, 1, 63] {
        Setup::kept().set("h2_glitch_budget", "40").run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.post(1, &[]).await;
            let kept = host.request().await;
            let tiny = frame(DATA, 0, 1, &vec![0; octets]);
            // The first one lies on top of nothing.
            for _ in 0..30 {
                raw.send(tiny.clone()).await;
                host.turn().await;
            }
            assert_eq!(charges_for_data(host), 29, "{octets}");
            raw.send(tiny.repeat(20)).await;
            while raw.goaway().await.1 != ENHANCE_YOUR_CALM {}
            host.closed(&raw.peer, Phase::Flush, Reason::H2Glitches).await;
            drop(kept);
        });
    }
}

#[test]
fn tiny_data_that_is_read_costs_nothing() {
    Setup::kept().set("h2_glitch_budget", "40").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let kept = host.request().await;
        for _ in 0..100 {
            assert_eq!(read(&kept), Ok(Vec::new()), "which asks for more");
            host.turn().await;
            raw.send(frame(DATA, 0, 1, b"x")).await;
            host.turn().await;
            assert_eq!(read(&kept), Ok(b"x".to_vec()));
        }
        assert_eq!(charges_for_data(host), 0);
        hello(&kept);
        assert_eq!(raw.answer(1).await.0, 200);
    });
}

#[test]
fn at_three_quarters_of_the_budget_the_peer_is_told_to_go() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let kept = host.request().await;
        raw.send(frame(PING, 0, 0, &[0; 8]).repeat(80)).await;
        assert_eq!(raw.goaway().await, (0x7fff_ffff, 0));
        hello(&kept);
        // The PING between the two GOAWAYs is not answered: a second is all it gets.
        loop {
            let next = raw.next_of_note().await;
            if next.kind == GOAWAY {
                break;
            }
        }
        assert_eq!(raw.closed().await, Ending::Closed);
        host.closed(&raw.peer, Phase::Flush, Reason::H2Glitches).await;
        assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
    });
}

#[test]
fn rapid_resets_run_no_handler_twice_and_end_the_connection() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        let mut flood = Vec::new();
        for n in 0..1000 {
            flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block("GET", "/", &[])));
            flood.extend(frame(RESET, 0, 2 * n + 1, &CANCEL.to_be_bytes()));
        }
        let _ = raw.peer.try_send(flood).await;
        host.closed(&raw.peer, Phase::Flush, Reason::H2Resets).await;
        let snapshot = host.server.snapshot();
        assert!(snapshot.handlers_running <= 100, "{}", snapshot.handlers_running);
        assert!(snapshot.requests_started <= 110, "{}", snapshot.requests_started);
        let (octets, _) = raw.peer.rest().await;
        assert!(octets.windows(4).any(|code| code == ENHANCE_YOUR_CALM.to_be_bytes()));
    });
}

#[test]
fn honest_clients_are_served_beside_a_flood() {
    Setup::hello().run(async |host| {
        let mut flooding = Raw::open(host).await;
        let _ = flooding.peer.try_send(frame(PING, 0, 0, &[0; 8]).repeat(500)).await;
        let mut honest = Raw::open(host).await;
        honest.get(1, "/").await;
        let answered = tokio::time::timeout(secs(1), honest.answer(1)).await.unwrap();
        assert_eq!(answered, (200, b"hello".to_vec()));
    });
}

#[test]
fn glitches_are_counted_while_the_connection_lives() {
    Setup::hello().run(async |host| {
        let mut raw = Raw::open(host).await;
        for count in 1..=3 {
            raw.send(frame(PING, 0, 0, &[0; 8])).await;
            host.turn().await;
            assert_eq!(host.shared.sum().total(crate::counters::GLITCHES, 2), count);
        }
    });
}

#[test]
fn a_refused_head_is_recorded_with_its_stream() {
    Setup::hello().set("max_header_bytes", "1000").run(async |host| {
        let mut raw = Raw::open(host).await;
        // Refused by us, by us with a reset, by h2 with 431.
        let long = "x".repeat(1000);
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block("GET", "/", &[("a", &long)]))).await;
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, &block("GET", "/", &[("host", "b")]))).await;
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 5, &block("GET", "/", &vec![("a", "b"); 60])))
            .await;
        host.turn().await;
        let mut streams: Vec<_> = host.ended().iter().map(|record| record.stream).collect();
        streams.sort_unstable();
        assert_eq!(streams, [1, 3, 5]);
    });
}
