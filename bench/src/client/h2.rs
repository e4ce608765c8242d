//! One HTTP/2 connection with a fixed number of requests in flight, as octets without an HTTP/2 library.
//!
//! A library on this side costs as much as the server does. Sent frames are templates; of received ones the
//! frame heads are walked and the two things that must hold are compared: status 200 and the content.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{CONTENT, Dialer};
use crate::load::Quota;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Opens the connection's window to its maximum of 2^31 - 1: 165 million answers without an update.
const WINDOW_INCREMENT: u32 = (1 << 31) - 1 - 65_535;

/// A frame may carry 16,384 octets until SETTINGS say otherwise (RFC 9113 §4.2), and ours say nothing.
const BUFFER: usize = 2 * (HEAD + 16_384);
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// On SETTINGS and PING.
const ACK: u8 = 0x1;
/// On DATA and HEADERS.
const END_STREAM: u8 = 0x1;
/// On HEADERS.
const END_HEADERS: u8 = 0x4;

/// `:method: GET`, `:scheme: https`, `:path: /` of the static table (RFC 7541 appendix A).
const STATIC_FIELDS: [u8; 3] = [0x82, 0x87, 0x84];
/// Literal with incremental indexing, name of entry 1 (`:authority`).
const AUTHORITY_LITERAL: u8 = 0x41;
/// The first dynamic entry: the authority sent before.
const AUTHORITY_INDEXED: u8 = 0xbe;
/// `:status: 200` of the static table.
const STATUS_OK: u8 = 0x88;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    next_stream: u32,
    buffer: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
}

impl Connection {
    /// Connects, sends the preface and completes one request.
    pub async fn open(dialer: &Dialer) -> io::Result<Connection> {
        let stream = dialer.dial().await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server did not choose h2"));
        }
        let mut connection =
            Connection { stream, next_stream: 1, buffer: vec![0; BUFFER], filled: 0, out: Vec::new() };
        connection.out.extend_from_slice(PREFACE);
        connection.frame(SETTINGS, 0, 0, &[]);
        connection.frame(WINDOW_UPDATE, 0, 0, &WINDOW_INCREMENT.to_be_bytes());
        let authority = dialer.authority();
        let mut block = STATIC_FIELDS.to_vec();
        block.push(AUTHORITY_LITERAL);
        // An IPv4 address and port have at most 21 octets: the 7-bit length needs no continuation.
        block.push(authority.len() as u8);
        block.extend_from_slice(authority.as_bytes());
        connection.request(&block);
        connection.flush().await?;
        while connection.answers().await? == 0 {}
        Ok(connection)
    }

    /// Keeps `streams` requests in flight until the quota is spent; returns how many were answered.
    ///
    /// All requests that one read made room for leave in one write, as with other load generators.
    pub async fn drive(&mut self, streams: u64, quota: &Quota) -> io::Result<u64> {
        let [a, b, c] = STATIC_FIELDS;
        let block = [a, b, c, AUTHORITY_INDEXED];
        let (mut room, mut in_flight, mut done) = (streams, 0, 0);
        loop {
            let taken = quota.take(room);
            for _ in 0..taken {
                self.request(&block);
            }
            in_flight += taken;
            self.flush().await?;
            if in_flight == 0 {
                return Ok(done);
            }
            room = self.answers().await?;
            in_flight -= room;
            done += room;
        }
    }

    fn request(&mut self, block: &[u8]) {
        self.frame(HEADERS, END_STREAM | END_HEADERS, self.next_stream, block);
        self.next_stream += 2;
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Reads once and returns how many answers that completed.
    async fn answers(&mut self) -> io::Result<u64> {
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        let (mut start, mut done) = (0, 0);
        while let Some(length) = frame_length(&self.buffer[start..self.filled]) {
            done += u64::from(self.received(start, start + length)?);
            start += length;
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(done)
    }

    /// Deals with one frame; true if it completes an answer.
    fn received(&mut self, start: usize, end: usize) -> io::Result<bool> {
        let frame = &self.buffer[start..end];
        let (kind, flags, payload) = (frame[3], frame[4], &frame[HEAD..]);
        match kind {
            DATA if payload == CONTENT || payload.is_empty() => return Ok(flags & END_STREAM != 0),
            HEADERS if payload.first() == Some(&STATUS_OK) && flags & END_STREAM == 0 => {}
            DATA | HEADERS | RST_STREAM | GOAWAY => {
                return Err(io::Error::other(format!("unexpected frame: {}", frame.escape_ascii())));
            }
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => {
                let opaque = payload.to_vec();
                self.frame(PING, ACK, 0, &opaque);
            }
            _ => {}
        }
        Ok(false)
    }
}

/// The length of the frame that `octets` begin with, if it is complete.
fn frame_length(octets: &[u8]) -> Option<usize> {
    let head = octets.first_chunk::<HEAD>()?;
    let length = HEAD + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    (octets.len() >= length).then_some(length)
}
