//! Peers and programs that do anything at any time, from fixed seeds. Nothing is expected of a single step; at the end the books
//! balance, nothing of ours has panicked, and no task spins (paused time would never go on).

use std::time::Duration;

use tokio::time::timeout;

use super::h2::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, SETTINGS, WINDOW_UPDATE, block, frame,
};
use super::peer::{Peer, millis, secs};
use super::support::{Host, Setup, hello};
use crate::exchange::Failure;
use crate::request::{Body, Request};

const NOW: Option<Duration> = Some(Duration::ZERO);

/// What an HTTP/1 peer may send, whole or in part.
const PIECES: [&str; 14] = [
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
];

/// What an HTTP/2 peer opens with.
fn opening() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])]
        .concat()
}

/// What it may send then; ids mostly count up, or one frame would end it all.
fn any_frame(dice: &mut Dice, last: &mut u32) -> Vec<u8> {
    const CONTINUATION: u8 = 9;
    const PRIORITY: u8 = 2;
    let earlier = 1 + 2 * dice.below(*last as usize / 2 + 1) as u32;
    let next = *last + 2;
    let end = if dice.below(2) == 0 { END_STREAM } else { 0 };
    match dice.below(16) {
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
        _ => frame(GOAWAY, 0, 0, &[0; 8]),
    }
}

/// Fixed seeds make a failure come again; what they are does not matter.
struct Dice(u64);

impl Dice {
    fn below(&mut self, faces: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % faces
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn setup(dice: &mut Dice) -> Setup {
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
    ];
    for (key, text) in menu {
        if dice.below(2) == 0 {
            setup = setup.set(key, text);
        }
    }
    if dice.below(4) == 0 { setup.tls() } else { setup }
}

/// What peers of one protocol say.
struct Speech {
    opening: Vec<u8>,
    /// The last stream that was opened.
    last: Option<u32>,
}

impl Speech {
    fn http1() -> Self {
        Self { opening: Vec::new(), last: None }
    }

    fn http2() -> Self {
        Self { opening: opening(), last: Some(1) }
    }

    fn piece(&mut self, dice: &mut Dice) -> Vec<u8> {
        match &mut self.last {
            None => dice.pick(&PIECES).as_bytes().to_vec(),
            Some(last) => any_frame(dice, last),
        }
    }
}

/// One deed of a peer; it may be the last.
async fn act(dice: &mut Dice, speech: &mut Speech, mut peer: Peer) -> Option<Peer> {
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
fn treat(dice: &mut Dice, request: Request) -> Option<Request> {
    match dice.below(12) {
        0 => return None,
        1 => drop(request.respond(200, [], Body::Copied(&[b'x'; 100_000]))),
        2 if request.cancelled().is_none() => drop(request.respond(204, [], Body::Copied(b""))),
        3 => drop(request.begin(200, [], None)),
        4 => drop(request.begin(200, [], Some(10))),
        5 => drop(request.write(&[b'x'; 70_000], NOW)),
        6 => drop(request.finish([])),
        7 => drop(request.abort()),
        8 => request.fail(Failure::Refused),
        9 => drop(request.set_limit("handler_timeout", 10)),
        10 => drop(request.inform(103, [])),
        _ => drop(request.read(&mut [0; 100], NOW)),
    }
    Some(request)
}

async fn play(dice: &mut Dice, mut speech: Speech, host: &Host) {
    let mut peers = Vec::new();
    let mut requests: Vec<Request> = Vec::new();
    for _ in 0..60 {
        match dice.below(8) {
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
            _ if !peers.is_empty() => {
                let peer = peers.swap_remove(dice.below(peers.len()));
                peers.extend(act(dice, &mut speech, peer).await);
            }
            _ => {}
        }
        while host.is_request_waiting() {
            requests.push(host.request().await);
        }
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
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // With who has not left by then the limits have to deal, the drain's at the latest.
        setup(&mut dice).run(async |host| play(&mut dice, Speech::http1(), host).await);
    }
}

#[test]
fn whatever_they_do_on_http2_the_books_balance() {
    for seed in 1..=150u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        setup(&mut dice).alpn("h2").run(async |host| play(&mut dice, Speech::http2(), host).await);
    }
}

#[test]
fn an_honest_client_is_served_behind_them() {
    for seed in 1..=30u64 {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        Setup::kept().run(async |host| {
            play(&mut dice, Speech::http1(), host).await;
            if host.shared.is_draining() {
                return;
            }
            let mut honest = host.connect().await;
            honest.get("/honest").await;
            let request = loop {
                let request = host.request().await;
                if request.exchange().head().target() == b"/honest" {
                    break request;
                }
            };
            hello(&request);
            assert_eq!(honest.answer().await.text(), "hello");
        });
    }
}
