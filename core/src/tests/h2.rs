//! HTTP/2 through the production connection function: a real client for what clients do, hand-made frames for what they should
//! not do and for what must be seen exactly.

mod abuse;
mod answers;
mod clocks;
mod content;
mod edges;
mod ends;
mod linger;
mod windows;

use std::collections::VecDeque;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::task::JoinHandle;

pub(super) use super::frames::*;
use super::peer::{Ending, Peer};
use super::support::{Host, Setup};

pub(super) const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const SETTINGS_TIMEOUT: u32 = 4;
const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The 32-bit number at the end: an error code.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(super) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A peer that speaks in frames.
pub(super) struct Raw {
    pub(super) peer: Peer,
    /// Frames of streams that nobody has asked for yet.
    stash: VecDeque<Frame>,
}

/// The status of an answer: it stands first in the block. 0: h2 refers to an answer before.
fn status(block: &[u8]) -> u16 {
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8e => 500,
        // A literal with the name of index 8, in Huffman's code or not.
        0x48 => digits(&block[2..2 + usize::from(block[1] & 0x7f)], block[1] & 0x80 != 0),
        _ => 0,
    }
}

/// Three digits; Huffman's code (RFC 7541 appendix B) gives 0 to 2 five bits and 3 to 9 six.
fn digits(octets: &[u8], huffman: bool) -> u16 {
    if !huffman {
        return std::str::from_utf8(octets).unwrap().parse().unwrap();
    }
    let bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| u32::from(octet >> bit & 1)));
    let mut bits = bits.collect::<Vec<_>>().into_iter();
    let mut take = |count: usize| bits.by_ref().take(count).fold(0, |value, bit| value << 1 | bit);
    (0..3).fold(0, |number, _| {
        let five = take(5);
        let digit = if five < 3 { five } else { (five << 1 | take(1)) - 0x19 + 3 };
        number * 10 + digit as u16
    })
}

impl Raw {
    /// Past both prefaces, SETTINGS acknowledged both ways.
    pub(super) async fn open(host: &Host) -> Self {
        Self::open_with(host, &[]).await
    }

    /// As [`Raw::open`], with these settings of the peer's.
    pub(super) async fn open_with(host: &Host, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::begin(host, settings).await;
        raw.send(frame(SETTINGS, ACK, 0, &[])).await;
        raw
    }

    /// The same, without acknowledging the server's SETTINGS.
    pub(super) async fn begin(host: &Host, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self { peer: host.connect().await, stash: VecDeque::new() };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(key, value)| key.to_be_bytes().into_iter().chain(value.to_be_bytes()))
            .collect();
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await;
        assert_eq!(raw.next().await.kind, SETTINGS);
        // The connection window, then the acknowledgement of ours.
        loop {
            let next = raw.next().await;
            if next.kind == SETTINGS {
                assert_eq!(next.flags, ACK);
                return raw;
            }
            assert_eq!(next.kind, WINDOW_UPDATE);
        }
    }

    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.peer.send(octets).await;
    }

    /// A request without content.
    pub(super) async fn get(&mut self, stream: u32, path: &str) {
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", path, &[]))).await;
    }

    /// The head of a request whose content follows.
    pub(super) async fn post(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.send(frame(HEADERS, END_HEADERS, stream, &block("POST", "/", fields))).await;
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Frame {
        let head = self.peer.take(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.peer.take(length).await;
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// The next frame that is not about windows, or an acknowledgement.
    pub(super) async fn next_of_note(&mut self) -> Frame {
        loop {
            let next = self.next().await;
            let ack = matches!(next.kind, SETTINGS | PING) && next.flags & ACK != 0;
            if next.kind != WINDOW_UPDATE && !ack {
                return next;
            }
        }
    }

    /// The next frame of this stream; those of others are kept.
    pub(super) async fn next_on(&mut self, stream: u32) -> Frame {
        if let Some(at) = self.stash.iter().position(|frame| frame.stream == stream) {
            return self.stash.remove(at).unwrap();
        }
        loop {
            let next = self.next_of_note().await;
            if next.stream == stream {
                return next;
            }
            self.stash.push_back(next);
        }
    }

    /// The status of this stream's answer, and whether all of the answer is its head.
    pub(super) async fn head(&mut self, stream: u32) -> (u16, bool) {
        let head = self.next_on(stream).await;
        assert_eq!(head.kind, HEADERS, "{head:?}");
        (status(&head.payload), head.ends_stream())
    }

    /// A whole answer: its status and content.
    pub(super) async fn answer(&mut self, stream: u32) -> (u16, Vec<u8>) {
        let (status, mut end) = self.head(stream).await;
        let mut content = Vec::new();
        while !end {
            let next = self.next_on(stream).await;
            assert_eq!(next.kind, DATA, "{next:?}");
            end = next.ends_stream();
            content.extend(next.payload);
        }
        (status, content)
    }

    /// RST_STREAM comes next on this stream.
    pub(super) async fn reset(&mut self, stream: u32) -> u32 {
        let next = self.next_on(stream).await;
        assert_eq!(next.kind, RESET, "{next:?}");
        next.code()
    }

    /// GOAWAY comes next: its last stream and code.
    pub(super) async fn goaway(&mut self) -> (u32, u32) {
        let next = self.next_on(0).await;
        assert_eq!(next.kind, GOAWAY, "{next:?}");
        (u32::from_be_bytes(next.payload[..4].try_into().unwrap()), next.code())
    }

    /// The connection ends here.
    pub(super) async fn closed(&mut self) -> Ending {
        self.peer.ending().await
    }
}

/// A real client; its connection runs until it is dropped.
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) requests: SendRequest<Bytes>,
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(super) async fn connect(host: &Host) -> Self {
        let peer = host.connect().await;
        let id = peer.id;
        let (requests, connection) = h2::client::handshake(peer.stream).await.unwrap();
        Self { id, requests, connection: tokio::task::spawn_local(connection) }
    }

    /// A whole exchange without content of ours.
    pub(super) async fn get(&mut self, path: &str) -> (http::response::Parts, Vec<u8>) {
        let request = http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        let (parts, mut body) = answer.await.unwrap().into_parts();
        let mut content = Vec::new();
        while let Some(octets) = body.data().await {
            let octets = octets.unwrap();
            body.flow_control().release_capacity(octets.len()).unwrap();
            content.extend(octets);
        }
        (parts, content)
    }
}

/// A host that speaks HTTP/2 over TLS.
pub(super) fn secure(setup: Setup) -> Setup {
    setup.tls().alpn("h2")
}
