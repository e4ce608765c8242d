//! Ids over requests of a real server, which hands them to the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bartizan_core::{Config, Dispatch, Listener, LogLevel, LogRecord, Server};

use super::*;
use crate::request::{bartizan_request_cancelled, bartizan_request_release, bartizan_request_retain};
use crate::response::bartizan_respond;
use crate::status::OK;

/// A server whose handler gives every request to the test.
struct Source {
    server: Server,
    requests: Receiver<Request>,
}

impl Source {
    fn new() -> Self {
        Self::telling(|_| ())
    }

    /// The same, and what is logged.
    fn telling(log: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        let (sender, requests) = channel();
        let handler = move |request| drop(sender.send(request));
        let listener = Listener::new("127.0.0.1:0".parse().unwrap(), None);
        let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(handler)));
        config.settings.set("io_threads", 1).unwrap();
        config.hooks.cancelled = Some(cancel);
        config.hooks.log = Some((LogLevel::Error, Arc::new(log)));
        Self { server: Server::start(&config).unwrap(), requests }
    }

    fn request(&self) -> (Request, TcpStream) {
        let mut peer = TcpStream::connect(self.server.address(0).unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        (self.requests.recv_timeout(Duration::from_secs(10)).unwrap(), peer)
    }

    /// An id of the program, as a queue would hand it out.
    fn id(&self) -> (RequestId, TcpStream) {
        let (request, peer) = self.request();
        (admit(request, None, false).unwrap().id, peer)
    }
}

fn answer(mut peer: TcpStream) -> String {
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    text
}

fn respond(id: RequestId) -> Status {
    bartizan_respond(id, 200, std::ptr::null(), 0, b"hello".as_ptr().cast(), 5)
}

const BAD: Status = Code::Handle.status();

#[test]
fn an_id_is_good_until_its_last_release_and_never_again() {
    let source = Source::new();
    let (id, peer) = source.id();
    assert!(0 < id && id < 1 << 53);
    assert_eq!(bartizan_request_retain(id), OK);
    assert_eq!(respond(id), OK);
    assert_eq!(respond(id), Code::State.status());
    assert_eq!(bartizan_request_release(id), OK);
    assert_ne!(bartizan_request_cancelled(id, None), BAD);
    assert_eq!(bartizan_request_release(id), OK);
    assert_eq!(bartizan_request_release(id), BAD);
    assert_eq!(bartizan_request_retain(id), BAD);
    assert_eq!(bartizan_request_cancelled(id, None), BAD);
    assert_eq!(respond(id), BAD);
    assert!(answer(peer).ends_with("hello"));
}

#[test]
fn numbers_that_are_no_ids_are_refused() {
    let source = Source::new();
    let (id, _peer) = source.id();
    let connection = with(id, |held| Ok(held.view().connection)).unwrap();
    let near = [id + 1, id - 1, id ^ 1 << SLOT_BITS, id ^ TAG, id | 1 << 52, id | 1 << 53, id | 1 << 63];
    for number in near.into_iter().chain([0, 1, connection, u64::MAX, u64::MAX >> 11, TAG]) {
        assert_eq!(bartizan_request_retain(number), BAD, "{number:#x}");
    }
    // A linear congruential generator: the same numbers in every run.
    let mut number = 1u64;
    for _ in 0..1_000_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        assert!(find(number >> 11).is_err() && find(number).is_err());
    }
    assert_eq!(bartizan_request_release(id), OK);
}

#[test]
fn a_slot_that_is_used_again_has_another_generation_up_to_the_end_of_them() {
    let mut state = State::default();
    let first = state.next_id(7);
    assert_ne!(state.next_id(7), first);
    state.generation = GENERATION_MASK - 1;
    let last = state.next_id(7);
    let wrapped = state.next_id(7);
    for id in [first, last, wrapped] {
        assert_eq!((number_of(id), id & !(TAG * 2 - 1), id & TAG), (7, 0, TAG));
    }
    assert_eq!((last - TAG) >> SLOT_BITS, u64::from(GENERATION_MASK));
    assert_eq!((wrapped - TAG) >> SLOT_BITS, 0);
}

#[test]
fn free_slots_wait_their_turn_in_a_long_line() {
    let mut shard = Shard { line: VecDeque::new(), fresh: 0..1024, storage: VecDeque::new() };
    let mut seen = Vec::new();
    for _ in 0..1024 {
        let number = shard.take(0).unwrap();
        seen.push(number);
        shard.line.push_back(number);
    }
    // One request at a time walks through the line, in order, and leaves the rest of the chunk alone.
    assert!(seen.iter().enumerate().all(|(at, number)| *number == (at % (LINE + 1)) as u32));
}

#[test]
fn a_bug_of_ours_is_told_with_its_place() {
    let (sender, told) = channel();
    let source = Source::telling(move |record| drop(sender.send(record.text.clone())));
    let (id, _peer) = source.id();
    let bug = || -> Result<Status, Code> {
        bartizan_core::note_panic(Some(std::panic::Location::caller()));
        panic!("a bug")
    };
    assert_eq!(call(id, bug), Code::Panic.status());
    let text = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(text.starts_with("a bug of ours was caught") && text.contains("tests.rs:"), "{text}");
    assert_eq!(bartizan_request_release(id), OK);
}

#[test]
fn a_view_is_spoiled_by_its_last_release() {
    let source = Source::new();
    let (request, _peer) = source.request();
    let admitted = admit(request, None, false).unwrap();
    assert_eq!(retain(admitted.id), Ok(()));
    assert_eq!(release(admitted.id), Ok(()));
    let shown = || {
        // SAFETY: the storage waits in the quarantine, which no other test fills.
        let view = unsafe { &*admitted.view };
        (view.request, view.path.ptr.addr(), view.header_count)
    };
    assert_eq!(shown().0, admitted.id);
    assert_eq!(release(admitted.id), Ok(()));
    let spoiled = usize::from_ne_bytes([crate::view::SPOILED; size_of::<usize>()]);
    assert_eq!(shown(), (spoiled as u64, spoiled, spoiled));
}

#[test]
fn a_call_in_progress_keeps_the_request_and_not_the_id() {
    let source = Source::new();
    let (id, peer) = source.id();
    let held = hold(id).unwrap();
    assert_eq!(release(id), Ok(()));
    assert!(hold(id).is_err());
    let fields: [(&[u8], &[u8]); 0] = [];
    held.request().unwrap().respond(200, fields, bartizan_core::Body::Copied(b"late")).unwrap();
    drop(held);
    assert!(answer(peer).ends_with("late"));
}

#[test]
fn of_two_releases_at_once_one_is_refused() {
    let source = Source::new();
    for _ in 0..50 {
        let (id, _peer) = source.id();
        let other = std::thread::spawn(move || release(id).is_ok());
        let own = release(id).is_ok();
        assert!(own ^ other.join().unwrap());
    }
}

#[test]
fn a_refusal_counts_although_the_callback_has_released_the_request() {
    let source = Source::new();
    for (failure, start) in [(None, "HTTP/1.1 500"), (Some(Failure::Refused), "HTTP/1.1 503")] {
        let (request, peer) = source.request();
        let admitted = admit(request, None, true).unwrap();
        let id = admitted.id;
        assert_eq!(release(id), Ok(()));
        assert_eq!(release(id), Err(Code::Handle));
        admitted.returned(failure);
        let answer = answer(peer);
        assert!(answer.starts_with(start), "{answer}");
    }
}

#[test]
fn a_cancel_is_seen_without_a_lock_also_when_it_came_first() {
    let source = Source::new();
    let (id, peer) = source.id();
    let (early, early_peer) = source.request();
    let exchange = early.exchange().clone();
    drop((peer, early_peer));
    source.server.shutdown(Some(Duration::ZERO));
    assert_eq!(source.server.wait(Some(Duration::from_secs(10))), Ok(true));
    assert!(exchange.cancelled().is_some());
    let late = admit(early, None, false).unwrap().id;
    for id in [id, late] {
        let (_, slot) = place(number_of(id)).unwrap();
        let _busy = lock(&slot.state);
        assert_ne!(cancelled(id), Ok(0));
    }
    assert_eq!((release(id), release(late)), (Ok(()), Ok(())));
}
