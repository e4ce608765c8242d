//! Peers and programs that do anything at any time, from fixed seeds, or as a fuzzer chooses (`fuzzing.rs`). Of no step a certain
//! outcome is expected. After each the counts add up and nobody waits without a deadline; at the end each connection has been in
//! one phase at a time and closed with one reason (`books.rs`), every handler slot has come back, nothing of ours has panicked,
//! and no task spins (paused time would never go on).

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RESET, SETTINGS,
    WINDOW_UPDATE, block, frame, literal,
};
use super::peer::{Peer, millis, secs};
use super::support::{Host, Setup};
use crate::exchange::Failure;
use crate::reason::Reason;
use crate::request::{Body, Request};
use crate::settings::OFF;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// What an HTTP/1 peer may send, whole or in part.
const PIECES: [&str; 19] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "hello",
    "\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "\0",
    "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    "0\r\nX-Sum: y\r\n\r\n",
    "5;a=b\r\nhel",
];

/// What an HTTP/2 peer opens with.
pub(super) fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()
}

/// What it may send then; ids mostly count up, or one frame would end it all.
fn any_frame(dice: &mut Dice<'_>, last: &mut u32) -> Vec<u8> {
    const CONTINUATION: u8 = 9;
    let earlier = 1 + 2 * dice.below(*last as usize / 2 + 1) as u32;
    let next = *last + 2;
    let end = if dice.below(2) == 0 { END_STREAM } else { 0 };
    match dice.below(20) {
        0..=3 => {
            *last = next;
            frame(HEADERS, END_HEADERS | END_STREAM, next, &block("GET", "/", &[]))
        }
        4 | 5 => {
            *last = next;
            frame(HEADERS, END_HEADERS, next, &block("POST", "/", &[]))
        }
        6 => frame(HEADERS, end, next, &block("POST", "/", &[("content-length", "100000")])[..10]),
        7 => frame(CONTINUATION, END_HEADERS, next, &block("POST", "/", &[])[10..]),
        8 | 9 => frame(DATA, end, earlier, &vec![b'x'; *dice.pick(&[0, 1, 100, 16_384])]),
        10 => frame(RESET, 0, earlier, &8u32.to_be_bytes()),
        11 => frame(WINDOW_UPDATE, 0, *dice.pick(&[0, earlier]), &(dice.below(70_000) as u32).to_be_bytes()),
        12 => frame(PING, 0, 0, &[0; 8]),
        13 => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, *dice.pick(&[0, 1, 255]), 0]),
        14 => frame(*dice.pick(&[PRIORITY, 0xbe]), 0, earlier, &[0; 5]),
        15 | 16 => {
            *last = next;
            let fields = [("content-length", "5"), ("expect", "100-continue")];
            frame(HEADERS, END_HEADERS, next, &block("POST", "/", &fields[..1 + dice.below(2)]))
        }
        17 => frame(DATA, end, earlier, b"hello"),
        18 => frame(HEADERS, END_HEADERS | END_STREAM, earlier, &literal("x-sum", "y")),
        _ => frame(GOAWAY, 0, 0, &[0; 8]),
    }
}

/// Where choices come from.
pub(super) enum Dice<'a> {
    /// A failure comes again with its seed.
    Seeded(u64),
    /// The octets of a fuzzer, which learns from each what it leads to.
    Given(&'a [u8]),
}

impl<'a> Dice<'a> {
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, faces: usize) -> usize {
        match self {
            Self::Seeded(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                (*state >> 33) as usize % faces
            }
            Self::Given(octets) => {
                let taken = if faces <= 256 { 1 } else { 3 };
                let (choice, rest) = octets.split_at(taken.min(octets.len()));
                *octets = rest;
                choice.iter().fold(0, |choice, octet| choice << 8 | usize::from(*octet)) % faces
            }
        }
    }

    pub(super) fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// Nothing is left to choose by.
    fn is_spent(&self) -> bool {
        matches!(self, Self::Given([]))
    }
}

pub(super) fn setup(dice: &mut Dice<'_>) -> Setup {
    let mut setup = Setup::kept().capacity(*dice.pick(&[64, 4_096, 65_536]));
    let menu = [
        ("header_timeout", "2s"),
        ("idle_timeout", "3s"),
        ("handler_timeout", "2s"),
        ("body_idle_timeout", "1s"),
        ("write_idle_timeout", "1s"),
        ("flush_timeout", "1s"),
        ("linger_timeout", "500ms"),
        ("buffer_body_bytes", "0"),
        ("max_body_bytes", "50"),
        ("max_running_handlers", "2"),
        ("max_requests_per_connection", "3"),
        ("max_connections", "4"),
        ("max_connection_memory_bytes", "64KiB"),
        ("max_total_memory_bytes", "1MiB"),
    ];
    for (key, text) in menu {
        if dice.below(2) == 0 {
            setup = setup.set(key, text);
        }
    }
    setup
}

/// Limits that strike even those who hurry.
pub(super) fn pinched(mut setup: Setup, dice: &mut Dice<'_>) -> Setup {
    let menu = [
        ("redirect_to_https", "on"),
        ("h2_glitch_budget", "10"),
        ("max_header_bytes", "256"),
        ("h2_connection_window_bytes", "65535"),
        ("max_handlers_per_connection", "1"),
        ("max_connection_age", "4s"),
        ("body_timeout", "1s"),
        ("response_timeout", "1s"),
        ("min_rate_grace", "500ms"),
    ];
    for (key, text) in menu {
        if dice.below(4) == 0 {
            setup = setup.set(key, text);
        }
    }
    setup
}

/// What peers of one protocol say.
pub(super) struct Speech {
    opening: Vec<u8>,
    /// The last stream that was opened.
    last: Option<u32>,
}

impl Speech {
    pub(super) fn http1() -> Self {
        Self { opening: Vec::new(), last: None }
    }

    pub(super) fn http2() -> Self {
        Self { opening: opening(), last: Some(1) }
    }

    fn piece(&mut self, dice: &mut Dice<'_>) -> Vec<u8> {
        match &mut self.last {
            None => dice.pick(&PIECES).as_bytes().to_vec(),
            Some(last) => any_frame(dice, last),
        }
    }
}

/// One deed of a peer; it may be the last.
async fn act(dice: &mut Dice<'_>, speech: &mut Speech, mut peer: Peer) -> Option<Peer> {
    match dice.below(12) {
        0 => drop(timeout(millis(200), peer.rest()).await),
        1 => {
            peer.reset();
            return None;
        }
        2 => return None,
        3 => drop(timeout(millis(200), peer.try_finish()).await),
        4 => drop(timeout(millis(200), peer.try_send(vec![b'x'; 70_000])).await),
        _ => {
            let piece = speech.piece(dice);
            let end = if dice.below(6) == 0 { dice.below(piece.len() + 1) } else { piece.len() };
            drop(timeout(millis(200), peer.try_send(&piece[..end])).await);
        }
    }
    Some(peer)
}

/// One deed of the program; `None`: it lets the request go.
pub(super) fn treat(dice: &mut Dice<'_>, request: Request) -> Option<Request> {
    match dice.below(15) {
        0 => return None,
        1 => drop(request.respond(200, [], Body::Copied(&[b'x'; 100_000]))),
        2 if request.cancelled().is_none() => drop(request.respond(204, [], Body::Copied(b""))),
        3 => drop(request.begin(200, [], None)),
        4 => drop(request.begin(200, [], Some(10))),
        5 => drop(request.write(&[b'x'; 70_000], NOW)),
        6 => drop(request.finish([])),
        7 => drop(request.abort()),
        8 => request.fail(Failure::Refused),
        9 => drop(request.set_limit("handler_timeout", *dice.pick(&[10, 5_000]))),
        10 => drop(request.inform(103, [])),
        11 => drop(request.set_limit("max_body_bytes", *dice.pick(&[OFF, 3]))),
        12 => drop(request.peek().and_then(|(octets, _)| request.consume(octets.len().min(3)))),
        13 => drop(request.arm_content().and(request.arm_room())),
        _ => drop(request.read(&mut [0; 100], NOW)),
    }
    Some(request)
}

/// One deed of the program that decides nothing: it asks, marks, or wants to be told. It does not block: paused time would stand.
pub(super) fn attend(dice: &mut Dice<'_>, request: &Request) {
    let exchange = request.exchange();
    let cx = &mut Context::from_waker(Waker::noop());
    match dice.below(9) {
        0 => drop(request.on_cancel(Box::new(|_| ()))),
        1 => drop(request.on_ready(Arc::new(|_| ()))),
        2 => drop(request.poll_content(cx)),
        3 => drop(request.poll_write(cx, &Bytes::from_static(b"some"))),
        4 => drop(request.finish([(&b"x-sum"[..], &b"y"[..])])),
        5 => drop(request.remaining("handler_timeout").and(request.remaining("body_idle_timeout"))),
        6 => exchange.drop_later(Box::new(())),
        7 => {
            exchange.set_tag(7);
            exchange.set_token(9);
            assert_eq!((exchange.tag(), exchange.token()), (7, 9));
        }
        _ => {
            assert!(exchange.outcome().is_none() || exchange.is_delivered());
            assert!(format!("{exchange:?}").contains(&exchange.stream().to_string()));
            let length = exchange.head().content_length().unwrap_or(0);
            assert!(exchange.buffered().is_none_or(|body| body.len() as u64 == length));
        }
    }
}

/// One deed of the server when it is short of something.
pub(super) fn press(dice: &mut Dice<'_>, host: &Host) {
    match dice.below(3) {
        0 => drop(host.shared.registry.evict_longest_idle(Reason::AcceptLimit)),
        1 => drop(host.shared.registry.shed(*dice.pick(&[1, 100_000]))),
        _ => host.shared.load.refuse(dice.below(2) == 0),
    }
}

pub(super) async fn play(dice: &mut Dice<'_>, mut speech: Speech, host: &Host) {
    let mut peers = Vec::new();
    let mut requests: Vec<Request> = Vec::new();
    for _ in 0..60 {
        if dice.is_spent() {
            break;
        }
        match dice.below(11) {
            0 if peers.len() < 4 => {
                let mut peer = host.connect().await;
                let _ = timeout(millis(200), peer.try_send(&speech.opening)).await;
                peers.push(peer);
            }
            1 | 2 if !requests.is_empty() => {
                let request = requests.swap_remove(dice.below(requests.len()));
                requests.extend(treat(dice, request));
            }
            3 => tokio::time::sleep(millis(*dice.pick(&[1, 50, 700, 2_500]))).await,
            4 => press(dice, host),
            5 | 6 if !requests.is_empty() => {
                let request = dice.pick(&requests);
                attend(dice, request);
            }
            _ if !peers.is_empty() => {
                let peer = peers.swap_remove(dice.below(peers.len()));
                peers.extend(act(dice, &mut speech, peer).await);
            }
            _ => {}
        }
        host.turn().await;
        while host.is_request_waiting() {
            requests.push(host.request().await);
        }
        host.check_sums();
        host.check_waits(&requests);
    }
    match dice.below(3) {
        0 => host.server.shutdown(Some(secs(1))),
        1 => host.server.shutdown(Some(secs(0))),
        _ => {}
    }
}

#[test]
fn whatever_peers_and_program_do_the_books_balance() {
    for seed in 1..=150u64 {
        let mut dice = Dice::seeded(seed);
        // With who has not left by then the limits have to deal, the drain's at the latest.
        let setup = setup(&mut dice);
        let setup = if seed % 4 == 0 { setup.tls() } else { setup };
        let setup = if seed % 3 == 0 { pinched(setup, &mut dice) } else { setup };
        setup.run(async |host| play(&mut dice, Speech::http1(), host).await);
    }
}

#[test]
fn whatever_they_do_on_http2_the_books_balance() {
    for seed in 1..=150u64 {
        let mut dice = Dice::seeded(seed);
        let setup = setup(&mut dice).alpn("h2");
        let setup = if seed % 4 == 0 { setup.tls() } else { setup };
        let setup = if seed % 3 == 0 { pinched(setup, &mut dice) } else { setup };
        setup.run(async |host| play(&mut dice, Speech::http2(), host).await);
    }
}

#[test]
fn an_honest_client_is_served_behind_them() {
    for seed in 1..=30u64 {
        let mut dice = Dice::seeded(1_000 + seed);
        Setup::kept().run(async |host| {
            play(&mut dice, Speech::http1(), host).await;
            if host.shared.is_draining() {
                return;
            }
            // A server that was short of memory looks again with its next sweep.
            tokio::time::sleep(millis(200)).await;
            let mut honest = host.connect().await;
            honest.get("/honest").await;
            let request = loop {
                let request = host.request().await;
                if request.exchange().head().target() == b"/honest" {
                    break request;
                }
            };
            super::support::hello(&request);
            assert_eq!(honest.answer().await.text(), "hello");
        });
    }
}
