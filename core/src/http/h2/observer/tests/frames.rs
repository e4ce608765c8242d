//! Hand-made frames: what the watch reports, what is charged, where input is cut.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use h2::Reason as Code;
use tokio::io::AsyncWrite;

use super::super::watch::{HeaderBlock, Withheld};
use super::super::{Event, Limits};
use super::*;
use crate::http::h2::glitches::Glitch;

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

/// Charged frames by kind.
fn charged(bench: &Bench) -> Vec<(Glitch, u32)> {
    let counts = bench.watch.glitches();
    Glitch::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_preface_is_complete_with_the_last_octet_of_settings() {
    let octets = [preface(), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])].concat();
    let mut bench = Bench::new(LIMITS);
    for (index, octet) in octets.iter().enumerate() {
        assert!(!bench.watch.preface_complete(), "before octet {index}");
        bench.receive(&[*octet]);
    }
    assert!(bench.watch.preface_complete());
}

#[test]
fn a_preface_without_settings_is_withheld() {
    for first in [request(1), ping(), frame(SETTINGS, ACK, 0, &[])] {
        let mut bench = Bench::new(LIMITS);
        let passed = bench.receive(&[preface(), first].concat());
        assert_eq!(passed, preface());
        let withheld = bench.watch.withheld().unwrap();
        assert_eq!((withheld, withheld.code()), (Withheld::Preface, Code::PROTOCOL_ERROR));
    }
}

#[test]
fn an_acknowledgement_counts_only_after_our_settings_were_taken() {
    let mut bench = Bench::new(LIMITS);
    bench.observer.stream.room = 5;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    bench.send(&settings[..14]);
    assert!(!bench.watch.settings_taken());
    bench.receive(&[preface(), frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
    assert!(!bench.watch.settings_acknowledged());
    assert_eq!(charged(&bench), [(Glitch::Settings, 1)]);
    bench.send(&settings[14..]);
    assert!(bench.watch.settings_taken());
    bench.receive(&frame(SETTINGS, ACK, 0, &[]));
    assert!(bench.watch.settings_acknowledged());
}

#[test]
fn every_cut_of_a_session_shows_the_same() {
    let inbound = [
        preface(),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(SETTINGS, ACK, 0, &[]),
        window_update(0, 1 << 20),
        frame(HEADERS, END_STREAM | WITH_PRIORITY, 1, &[0x82; 8]),
        frame(CONTINUATION, END_HEADERS, 1, &[0x84]),
        frame(HEADERS, END_HEADERS, 3, &[0x82]),
        frame(DATA, 0, 3, &[0; 70]),
        reset(3, Code::CANCEL),
        ping(),
        frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0, b'b', b'y', b'e']),
        frame(HEADERS, 0, 5, &[0x82; 3]),
    ]
    .concat();
    let mut seen = None;
    for first in 0..inbound.len() {
        for second in [first, first + 1, inbound.len() / 2, inbound.len()] {
            let second = second.clamp(first, inbound.len());
            let mut bench = Bench::new(LIMITS);
            bench.send(&frame(SETTINGS, 0, 0, &[]));
            let mut passed = Vec::new();
            for part in [&inbound[..first], &inbound[first..second], &inbound[second..]] {
                if !part.is_empty() {
                    passed.extend(bench.receive(part));
                }
            }
            assert_eq!(passed, inbound);
            let state = (
                bench.watch.preface_complete(),
                bench.watch.settings_acknowledged(),
                bench.watch.header_block(),
                bench.watch.header_blocks_begun(),
                bench.watch.goaway_received(),
                bench.watch.glitches(),
                bench.events(),
            );
            assert_eq!(*seen.get_or_insert_with(|| state.clone()), state, "cut at {first} and {second}");
        }
    }
    let (preface, acknowledged, block, begun, goaway, _, events) = seen.unwrap();
    assert!(preface && acknowledged);
    assert_eq!((block, begun), (Some(HeaderBlock { stream: 5, octets: 3 }), 3));
    assert_eq!(goaway, Some(Code::NO_ERROR));
    let reset = Event::ResetReceived { stream: 3, code: Code::CANCEL };
    assert_eq!(events, [Event::ContentArrived { stream: 3 }, reset]);
}

#[test]
fn content_is_told_once_for_a_run_and_trailers_are_content() {
    let mut bench = Bench::opened(LIMITS);
    let data = |stream| frame(DATA, 0, stream, &[7; 100]);
    bench.receive(&[request(1), request(3), data(1), data(1), data(3), data(1)].concat());
    let arrived = |stream| Event::ContentArrived { stream };
    assert_eq!(bench.events(), [arrived(1), arrived(3), arrived(1)]);
    bench.receive(&request(3));
    assert_eq!(bench.events(), [arrived(3)]);
}

#[test]
fn a_pseudo_field_in_trailers_is_seen_between_padding_and_however_it_is_cut() {
    let section = |flags, before: &[u8], after: &[u8]| {
        let begin = [before, &[0x00, 1, b'x', 1][..], after].concat();
        let headers = frame(HEADERS, END_STREAM | flags, 1, &begin);
        [request_with_content(1), headers, frame(CONTINUATION, END_HEADERS, 1, &[b'y', 0x84])].concat()
    };
    // 0x88 would be one: in the padding and the priority it is none.
    let hidden = [&[3, 0x88, 0x88, 0x88, 0x88, 0x88][..], &[0x88; 3]];
    for octets in [section(0, &[], &[]), section(PADDED | WITH_PRIORITY, hidden[0], hidden[1])] {
        for cut in 0..octets.len() {
            let mut bench = Bench::opened(LIMITS);
            bench.receive(&octets[..cut]);
            assert!(!bench.watch.trailers_are_malformed(1), "{cut}");
            bench.receive(&octets[cut..]);
            assert!(bench.watch.trailers_are_malformed(1), "{cut}");
        }
    }
    let mut bench = Bench::opened(LIMITS);
    let well = frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[2, 0x00, 1, b'x', 1, b':', 0x88, 0x88]);
    bench.receive(&[request_with_content(1), well, request(3)].concat());
    assert!(!bench.watch.trailers_are_malformed(1) && !bench.watch.trailers_are_malformed(3));
}

/// Its content, and perhaps trailers, are still to come.
fn request_with_content(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x82; 20])
}

#[test]
fn the_peer_is_out_of_window_when_it_has_sent_all_that_it_may_padding_included() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&request(1));
    for _ in 0..3 {
        bench.receive(&frame(DATA, 0x8, 1, &[255; 16_384]));
    }
    let mut last = frame(DATA, 0, 1, &[7; 16_383]);
    let end = last.split_off(9 + 16_382);
    bench.receive(&last);
    assert!(!bench.watch.peer_is_out_of_window());
    bench.receive(&end);
    assert!(bench.watch.peer_is_out_of_window());
    bench.send(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()));
    assert!(bench.watch.peer_is_out_of_window(), "that was the stream's");
    bench.send(&frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
    assert!(!bench.watch.peer_is_out_of_window());
}

#[test]
fn the_connection_window_is_what_was_granted_less_what_was_taken() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&request(1));
    for _ in 0..4 {
        bench.send(&frame(DATA, 0, 1, &[7; 16_383]));
        assert!(!bench.watch.connection_window_is_empty());
    }
    bench.send(&frame(DATA, 0, 1, &[7; 3]));
    assert!(bench.watch.connection_window_is_empty());
    bench.receive(&frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
    assert!(!bench.watch.connection_window_is_empty());
}

#[test]
fn a_header_block_is_open_until_the_last_octet_of_end_headers() {
    let mut bench = Bench::opened(LIMITS);
    let headers = request(1);
    bench.receive(&headers[..9]);
    assert_eq!(bench.watch.header_block(), Some(HeaderBlock { stream: 1, octets: 0 }));
    bench.receive(&headers[9..headers.len() - 1]);
    assert_eq!(bench.watch.header_block(), Some(HeaderBlock { stream: 1, octets: 19 }));
    bench.receive(&headers[headers.len() - 1..]);
    assert_eq!((bench.watch.header_block(), bench.watch.header_blocks_begun()), (None, 1));
}

#[test]
fn a_header_block_of_exactly_its_limit_passes_and_one_more_octet_is_cut() {
    for (last, withheld) in [(100, None), (101, Some(Withheld::HeaderBlock))] {
        let mut bench = Bench::opened(LIMITS);
        let first = frame(HEADERS, 0, 1, &[0x82; 900]);
        assert_eq!(bench.receive(&first), first);
        let continuation = frame(CONTINUATION, 0, 1, &vec![0x82; last]);
        let passed = bench.receive(&continuation);
        assert_eq!(passed.is_empty(), withheld.is_some());
        assert_eq!(bench.watch.withheld(), withheld);
    }
}

#[test]
fn the_end_of_an_answer_is_reported_with_its_last_octet_taken() {
    for room in 1..40 {
        let mut bench = Bench::opened(LIMITS);
        bench.receive(&[request(1), request(3)].concat());
        let slices = [frame(HEADERS, END_HEADERS, 1, &[0x88; 5]), frame(DATA, END_STREAM, 1, &[7; 13])];
        bench.observer.stream.room = room;
        let (mut written, total) = (0, slices.concat().len());
        while written < total {
            let at = written.min(slices[0].len());
            let views = [IoSlice::new(&slices[0][at..]), IoSlice::new(&slices[1][written - at..])];
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(taken)) = Pin::new(&mut bench.observer).poll_write_vectored(&mut cx, &views)
            else {
                panic!("the script refused");
            };
            written += taken;
            let content = written.saturating_sub(slices[0].len() + 9) as u64;
            assert_eq!(bench.watch.state().data_taken, content);
            let open = (written < total).then_some(content);
            assert_eq!(bench.watch.stream_data_taken(1), open, "after {written}");
        }
        assert_eq!(bench.observer.stream.taken[9..], slices.concat());
        assert_eq!(
            bench.events(),
            [Event::HeadTaken { stream: 1, end: false }, Event::EndTaken { stream: 1 }],
            "room {room}"
        );
        assert_eq!(bench.watch.stream_data_taken(3), Some(0));
    }
}

#[test]
fn trailers_end_an_answer_and_informational_heads_do_not_begin_it() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&request(1));
    bench.watch.expect_informational(1);
    bench.send(&frame(HEADERS, END_HEADERS, 1, &[0x48; 4]));
    assert_eq!(bench.events(), []);
    bench.send(&frame(HEADERS, 0, 1, &[0x88]));
    assert_eq!(bench.events(), [], "a CONTINUATION is owed");
    bench.send(&frame(CONTINUATION, END_HEADERS, 1, &[0x88]));
    bench.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40; 4]));
    assert_eq!(bench.events(), [Event::HeadTaken { stream: 1, end: false }, Event::EndTaken { stream: 1 }]);
}

#[test]
fn an_answer_that_the_driver_did_not_give_is_reported() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&request(1));
    bench.send(&answer(1));
    bench.send(&reset(1, Code::PROTOCOL_ERROR));
    assert_eq!(
        bench.events(),
        [
            Event::HeadTaken { stream: 1, end: true },
            Event::ResetTaken { stream: 1, code: Code::PROTOCOL_ERROR, open: false }
        ]
    );
}

#[test]
fn events_hold_input_back_until_they_are_taken() {
    let mut bench = Bench::opened(Limits { glitch_budget: 1_000_000, ..LIMITS });
    for stream in 0..5000 {
        bench.send(&reset(2 * stream + 1, Code::REFUSED_STREAM));
    }
    let data = frame(DATA, 0, 1, &[0; 100]);
    assert_eq!(bench.receive(&data), []);
    assert_eq!(bench.wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(bench.events().len(), 5000);
    assert_eq!(bench.receive(&[]), data);
    assert_eq!(bench.watch.withheld(), None);
}

#[test]
fn the_frame_that_spends_the_budget_and_all_behind_it_are_cut_off() {
    let mut bench = Bench::opened(LIMITS);
    let flood = ping().repeat(300);
    let passed = bench.receive(&[request(1), flood.clone(), request(3)].concat());
    assert_eq!(passed.len(), request(1).len() + 99 * ping().len());
    assert!(bench.watch.warned());
    assert_eq!(bench.watch.withheld(), Some(Withheld::Glitches));
    assert_eq!(bench.watch.header_blocks_begun(), 1);
    assert_eq!(bench.receive(&flood), []);
    assert_eq!(bench.wakes.0.load(Ordering::Relaxed), 1, "the driver is woken once");
}

#[test]
fn a_cut_in_a_frame_that_came_in_parts_never_looks_like_the_end() {
    for split in 1..ping().len() {
        let mut bench = Bench::opened(Limits { glitch_budget: 1, ..LIMITS });
        assert_eq!(bench.receive(&ping()[..split]).len(), split);
        assert_eq!(bench.receive(&ping()[split..]), [], "split at {split}");
        assert_eq!(bench.watch.withheld(), Some(Withheld::Glitches));
    }
}

#[test]
fn seventy_five_warn_and_one_hundred_end() {
    let mut bench = Bench::opened(LIMITS);
    let flood = frame(SETTINGS, 0, 0, &[]);
    bench.receive(&flood.repeat(74));
    assert!(!bench.watch.warned());
    bench.receive(&flood);
    assert!(bench.watch.warned());
    bench.receive(&flood.repeat(24));
    assert_eq!(bench.watch.withheld(), None);
    bench.receive(&flood);
    assert_eq!(bench.watch.withheld(), Some(Withheld::Glitches));
}

#[test]
fn each_silent_flood_has_its_kind() {
    for (flood, kind) in [
        (ping(), Glitch::Ping),
        (frame(PING, ACK, 0, &[0; 8]), Glitch::Ping),
        (frame(SETTINGS, 0, 0, &[]), Glitch::Settings),
        (frame(SETTINGS, ACK, 0, &[]), Glitch::Settings),
        (frame(PRIORITY, 0, 1, &[0; 5]), Glitch::Priority),
        (frame(UNKNOWN, 0, 0, &[0; 12]), Glitch::Priority),
        (window_update(0, 63), Glitch::WindowUpdate),
        (window_update(1, 0), Glitch::WindowUpdate),
        (frame(HEADERS, END_HEADERS, 1, &[]), Glitch::Headers),
        (frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, &[2, 0, 0, 0, 0, 0, 0, 0]), Glitch::Headers),
    ] {
        let mut bench = Bench::opened(LIMITS);
        bench.receive(&flood.repeat(7));
        assert_eq!(charged(&bench), [(kind, 7)]);
    }
}

#[test]
fn a_ping_after_an_answer_is_free_and_the_next_is_not() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&request(1));
    for _ in 0..200 {
        bench.send(&frame(DATA, 0, 1, &[0; 10]));
        bench.receive(&ping());
    }
    assert_eq!(charged(&bench), []);
    bench.receive(&ping());
    assert_eq!(charged(&bench), [(Glitch::Ping, 1)]);
}

#[test]
fn the_answer_to_our_ping_is_free() {
    let mut bench = Bench::opened(LIMITS);
    bench.send(&ping());
    bench.receive(&frame(PING, ACK, 0, &[0; 8]).repeat(2));
    assert_eq!(charged(&bench), [(Glitch::Ping, 1)]);
}

#[test]
fn window_is_told_of_where_nothing_is_left_to_send() {
    let mut bench = Bench::opened(LIMITS);
    let grant = |stream| frame(WINDOW_UPDATE, 0, stream, &1000_u32.to_be_bytes());
    bench.receive(&request(1));
    bench.receive(&[grant(0), grant(1), grant(3)].concat());
    assert_eq!(bench.events(), []);
    bench.send(&frame(RESET, 0, 1, &[0; 4]));
    bench.events();
    bench.receive(&[grant(0), grant(1), grant(3)].concat());
    assert_eq!(bench.events(), [Event::WindowGranted { stream: 1, octets: 1000 }]);
}

#[test]
fn tiny_data_is_charged_only_on_top_of_unread_data() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&frame(HEADERS, END_HEADERS, 1, &[0x82]));
    let tiny = frame(DATA, 0, 1, &[0; 63]);
    bench.receive(&tiny.repeat(500));
    assert_eq!(charged(&bench), []);
    bench.watch.set_unread(1, true);
    bench.receive(&frame(DATA, 0, 1, &[0; 64]).repeat(500));
    assert_eq!(charged(&bench), [], "64 octets are not tiny");
    bench.receive(&[tiny.clone(), frame(DATA, 0, 1, &[]), frame(DATA, PADDED, 1, &[200; 201])].concat());
    assert_eq!(charged(&bench), [(Glitch::Data, 3)]);
    bench.watch.set_unread(1, false);
    bench.receive(&tiny);
    bench.watch.set_unread(1, true);
    bench.receive(&frame(DATA, END_STREAM, 1, &[]));
    assert_eq!(charged(&bench), [(Glitch::Data, 3)], "the last one is free");
}

#[test]
fn a_small_window_update_is_free_if_it_lets_an_answer_finish() {
    for on in [0, 1] {
        let mut bench = Bench::opened(LIMITS);
        bench.receive(&request(1));
        bench.watch.set_tail(1, 20);
        bench.receive(&window_update(on, 20));
        assert_eq!(charged(&bench), []);
        bench.receive(&window_update(on, 19));
        assert_eq!(charged(&bench), [(Glitch::WindowUpdate, 1)]);
        bench.watch.set_tail(1, 0);
        bench.receive(&[window_update(on, 63), window_update(on, 64)].concat());
        assert_eq!(charged(&bench), [(Glitch::WindowUpdate, 2)]);
    }
}

#[test]
fn the_fifth_continuation_is_the_first_to_be_charged() {
    let mut bench = Bench::opened(LIMITS);
    let block = |stream, continuations: usize| {
        let mut octets = frame(HEADERS, 0, stream, &[0x82]);
        octets.extend(frame(CONTINUATION, 0, stream, &[0x82]).repeat(continuations - 1));
        octets.extend(frame(CONTINUATION, END_HEADERS, stream, &[0x82]));
        octets
    };
    bench.receive(&[block(1, 4), block(3, 4)].concat());
    assert_eq!(charged(&bench), []);
    bench.receive(&block(5, 6));
    assert_eq!(charged(&bench), [(Glitch::Headers, 2)]);
}

#[test]
fn a_reset_costs_a_quarter_once_the_answer_began() {
    let mut bench = Bench::opened(LIMITS);
    for stream in (1..400).step_by(2) {
        bench.receive(&request(stream));
        bench.send(&frame(HEADERS, END_HEADERS, stream, &[0x88]));
        bench.receive(&reset(stream, Code::CANCEL));
    }
    assert_eq!(charged(&bench), [(Glitch::ResetReceived, 200)]);
    assert!(!bench.watch.warned(), "200 quarters are half of the budget");
    for stream in (401..449).step_by(2) {
        bench.receive(&[request(stream), reset(stream, Code::CANCEL)].concat());
    }
    assert!(!bench.watch.warned());
    bench.receive(&[request(449), reset(449, Code::CANCEL)].concat());
    assert!(bench.watch.warned());
}

#[test]
fn rapid_reset_ends_at_the_hundredth_as_resets() {
    let mut bench = Bench::opened(LIMITS);
    let one = |stream| [request(stream), reset(stream, Code::CANCEL)].concat();
    let flood: Vec<u8> = (0..1000).flat_map(|n| one(2 * n + 1)).collect();
    let passed = bench.receive(&flood);
    assert_eq!(passed.len(), 100 * one(1).len() - reset(1, Code::CANCEL).len());
    assert_eq!(bench.watch.withheld(), Some(Withheld::Resets));
}

#[test]
fn resets_that_we_were_made_to_send_spend_the_same_budget() {
    let mut bench = Bench::opened(LIMITS);
    for n in 0..100 {
        assert_eq!(bench.watch.withheld(), None);
        bench.receive(&request(2 * n + 1));
        bench.send(&reset(2 * n + 1, Code::FLOW_CONTROL_ERROR));
    }
    assert_eq!(bench.watch.withheld(), Some(Withheld::Resets));
    assert_eq!(bench.receive(&request(201)), []);
}

#[test]
fn refusals_cost_nothing_for_streams_opened_before_our_settings_were_acknowledged() {
    let mut bench = Bench::new(LIMITS);
    bench.send(&frame(SETTINGS, 0, 0, &[]));
    let burst: Vec<u8> = (0..300).flat_map(|n| request(2 * n + 1)).collect();
    bench.receive(&[preface(), frame(SETTINGS, 0, 0, &[]), burst].concat());
    for n in 100..200 {
        bench.send(&reset(2 * n + 1, Code::REFUSED_STREAM));
    }
    // The acknowledgement may overtake refusals that still wait in h2's write buffer.
    bench.receive(&[frame(SETTINGS, ACK, 0, &[]), request(601)].concat());
    for n in 200..300 {
        bench.send(&reset(2 * n + 1, Code::REFUSED_STREAM));
    }
    assert_eq!(charged(&bench), []);
    bench.send(&reset(601, Code::REFUSED_STREAM));
    assert_eq!(charged(&bench), [(Glitch::ResetSent, 1)]);
}

#[test]
fn time_and_completed_requests_pay_back() {
    let mut bench = Bench::opened(LIMITS);
    bench.receive(&ping().repeat(70));
    bench.watch.refill(5000);
    bench.receive(&ping().repeat(50));
    for _ in 0..50 {
        bench.watch.request_completed();
    }
    bench.receive(&ping().repeat(50));
    assert!(!bench.watch.warned());
    assert_eq!(charged(&bench), [(Glitch::Ping, 170)]);
}

#[test]
fn a_browser_pays_less_than_a_quarter_of_the_budget() {
    // An old Firefox: its tree of PRIORITY frames first; then a page of 80 images, left when half of them are there.
    let mut bench = Bench::new(LIMITS);
    bench.send(&[frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]), window_update(0, 1 << 20)].concat());
    let mut opening = [preface(), frame(SETTINGS, 0, 0, &[0; 18]), window_update(0, 12_517_377)].concat();
    for stream in [3, 5, 7, 9, 11, 13] {
        opening.extend(frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 100]));
    }
    opening.extend(frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 15, &[0x82; 400]));
    opening.extend(frame(UNKNOWN, 0, 0, b"\0\0\0\x0fu=0,i"));
    bench.receive(&opening);
    bench.receive(&frame(SETTINGS, ACK, 0, &[]));
    let images: Vec<u32> = (17..177).step_by(2).collect();
    for image in &images {
        bench.receive(&request(*image));
        bench.send(&frame(HEADERS, END_HEADERS, *image, &[0x88; 40]));
        bench.send(&frame(DATA, 0, *image, &[0; 1000]));
        bench.receive(&window_update(*image, 1000));
    }
    for image in &images[..40] {
        bench.send(&frame(DATA, END_STREAM, *image, &[0; 1000]));
    }
    bench.receive(&ping());
    for image in &images[40..] {
        bench.receive(&reset(*image, Code::CANCEL));
    }
    // Nothing was paid back: all of it must fit into the first quarter.
    assert_eq!(charged(&bench), [(Glitch::ResetReceived, 40), (Glitch::Priority, 7)]);
    bench.receive(&ping().repeat(74 - 17));
    assert!(!bench.watch.warned(), "7 + 40 / 4 = 17 were spent");
    bench.receive(&ping());
    assert!(bench.watch.warned());
}

#[test]
fn streams_that_h2_ignores_take_no_memory_without_end() {
    let mut bench = Bench::opened(LIMITS);
    for n in 0..20_000 {
        bench.receive(&request(2 * n + 1));
    }
    assert_eq!(bench.watch.stream_data_taken(1), Some(0));
    assert_eq!(bench.watch.stream_data_taken(2 * 4195 + 1), Some(0));
    assert_eq!(bench.watch.stream_data_taken(2 * 4196 + 1), None);
}
