//! One TLS connection behind its ClientHello: rustls's state machine over the socket, in the handshake and after it. Ciphertext
//! passes through two buffers of the reactor; the connection keeps only what is unfinished, at rest nothing. Whom to answer with
//! which configuration is `config.rs`, and the clock over the handshake `handshake.rs`.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::{Metered, Transport};

/// Octets that one read may bring: two full records, so that a peer which streams content costs half the system calls.
const READ: usize = 2 * RECORD;
/// RFC 8446 §5.1: content of one record; rustls cuts what is longer.
const RECORD: usize = 16 * 1024;

/// Ciphertext on its way through; shared by the sessions of a reactor, since none keeps anything in it between two calls.
#[derive(Default)]
pub(crate) struct Scratch {
    received: RefCell<Vec<u8>>,
    sealed: RefCell<Vec<u8>>,
    /// Pieces of content that go into one record.
    content: RefCell<Vec<u8>>,
}

/// A TLS connection; a byte stream once [`Session::poll_handshake`] is ready.
pub(crate) struct Session<T: Transport> {
    socket: Metered<T>,
    tls: UnbufferedServerConnection,
    scratch: Rc<Scratch>,
    /// Content that one call seals: a bound on what waits when the socket takes none of it.
    most: usize,
    /// What was received and not used up: a part of a record, or of a handshake message.
    received: Vec<u8>,
    /// `received` may hold a whole record, which the last reader had no room for.
    backlog: bool,
    /// Content that the last reader had no room for.
    content: Waiting,
    /// Sealed, and not taken by the socket.
    sealed: Waiting,
    /// All that is sealed is a ticket: it goes with the answer to a request that came with Finished, which spares a send.
    ticket_waits: bool,
    /// close_notify was received.
    ended: bool,
}

/// Octets of which the first `taken` are gone. Owns nothing when all are.
#[derive(Default)]
struct Waiting {
    octets: Vec<u8>,
    taken: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        &self.octets[self.taken..]
    }

    fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    fn take(&mut self, length: usize) {
        self.taken += length;
        if self.taken == self.octets.len() {
            *self = Self::default();
        }
    }

    fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }
}

impl<T: Transport> Session<T> {
    /// `hello` is what was read from the socket already; of sealed content no more than `most` octets wait for the socket.
    pub(crate) fn new(
        socket: Metered<T>,
        config: Arc<ServerConfig>,
        hello: Vec<u8>,
        scratch: Rc<Scratch>,
        most: usize,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            socket,
            tls: UnbufferedServerConnection::new(config)?,
            scratch,
            most,
            backlog: !hello.is_empty(),
            received: hello,
            content: Waiting::default(),
            sealed: Waiting::default(),
            ticket_waits: false,
            ended: false,
        })
    }

    pub(crate) fn state(&self) -> &CommonState {
        &self.tls
    }

    pub(crate) fn socket(&mut self) -> &mut Metered<T> {
        &mut self.socket
    }

    /// Pending while a read would find nothing.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended || self.backlog || !self.content.is_empty() {
            return Poll::Ready(());
        }
        let readable = self.socket.poll_readable(cx);
        if readable.is_pending() {
            self.release_ticket(cx);
        }
        readable
    }

    /// Sends a ticket that waits, now that no request came along: a peer under Nagle's algorithm holds its request back until
    /// Finished is acknowledged, which a delayed acknowledgement does 40 ms later, and the ticket at once.
    fn release_ticket(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.ticket_waits) {
            // Whether the socket fails is for the next read to find.
            let _ = self.poll_drain(cx);
        }
    }

    /// Ready when Finished was received and what answers to it sent.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            // The peer answers to what it has been sent.
            if !self.backlog {
                ready!(self.poll_drain(cx))?;
            }
            ready!(self.poll_advance(cx, &mut ReadBuf::new(&mut [])))?;
        }
        if self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            self.ticket_waits = !self.sealed.is_empty();
            return Poll::Ready(Ok(()));
        }
        // TLS 1.2: the ticket lies in front of our Finished.
        self.poll_drain(cx)
    }

    /// Receives once, unless something is left from the last time, and lets rustls have it.
    fn poll_advance(&mut self, cx: &mut Context<'_>, content: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let scratch = self.scratch.clone();
        let mut area = scratch.received.borrow_mut();
        let held = self.received.len();
        if area.len() < held + READ {
            area.resize(held + READ, 0);
        }
        area[..held].copy_from_slice(&self.received);
        let mut filled = held;
        if !std::mem::take(&mut self.backlog) {
            let mut room = ReadBuf::new(&mut area[held..]);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
            filled += room.filled().len();
            if filled == held {
                // Without close_notify an end may be an attacker's cut (RFC 8446 §6.1).
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let used = match self.process(&mut area[..filled], content) {
            Ok(used) => used,
            Err(error) => {
                // Taken at once, or the peer does not deserve to know.
                let _ = self.poll_drain(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        };
        self.received.clear();
        if used == filled || self.ended {
            self.received = Vec::new();
        } else {
            self.received.extend_from_slice(&area[used..filled]);
        }
        Poll::Ready(Ok(()))
    }

    /// Lets rustls have `octets` until it wants more or `content` is full. Returns how many are used up.
    fn process(&mut self, octets: &mut [u8], content: &mut ReadBuf<'_>) -> Result<usize, rustls::Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } = self.tls.process_tls_records(&mut octets[used..]);
            let mut done = false;
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.seal_alert(&mut octets[used + discard..]);
                    return Err(error);
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        let fits = record.payload.len().min(content.remaining());
                        content.put_slice(&record.payload[..fits]);
                        self.content.push(&record.payload[fits..]);
                    }
                    done = used + discard == octets.len();
                    if content.remaining() == 0 {
                        self.backlog = !done;
                        done = true;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    self.ticket_waits = false;
                    encode(&mut data, &mut self.sealed.octets);
                }
                // Everything sealed leaves in one order, so that nothing of the machine has to wait for it.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    self.ended = true;
                    done = true;
                }
                // Early data is off, and all else waits for the peer.
                _ => done = true,
            }
            used += discard;
            if done {
                return Ok(used);
            }
        }
    }

    /// After an error rustls has an alert left.
    fn seal_alert(&mut self, octets: &mut [u8]) {
        while let Ok(ConnectionState::EncodeTlsData(mut data)) = self.tls.process_tls_records(octets).state {
            encode(&mut data, &mut self.sealed.octets);
        }
    }

    /// Seals one record's worth of `content` behind the first `filled` octets of `area`; returns how many are filled then.
    fn seal(&mut self, content: &[u8], area: &mut Vec<u8>, filled: usize) -> io::Result<usize> {
        self.writing(area, filled, |traffic, room| match traffic.encrypt(content, room) {
            Ok(written) => Ok(Some(written)),
            Err(EncryptError::InsufficientSize(size)) => Err(size),
            Err(EncryptError::EncryptExhausted) => Ok(None),
        })
    }

    fn writing(
        &mut self,
        area: &mut Vec<u8>,
        mut filled: usize,
        mut write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<Option<usize>, InsufficientSizeError>,
    ) -> io::Result<usize> {
        // What was received comes along: rustls remembers places in it while a handshake message is incomplete.
        let mut received = std::mem::take(&mut self.received);
        let outcome = loop {
            let UnbufferedStatus { discard, state, .. } = self.tls.process_tls_records(&mut received);
            let mut done = None;
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    done = Some(loop {
                        match write(&mut traffic, &mut area[filled..]) {
                            Ok(Some(written)) => break Ok(filled + written),
                            Ok(None) => break Err(io::Error::other(rustls::Error::EncryptError)),
                            Err(size) => area.resize(filled + size.required_size, 0),
                        }
                    });
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => loop {
                    match data.encode(&mut area[filled..]) {
                        Err(EncodeError::InsufficientSize(size)) => {
                            area.resize(filled + size.required_size, 0)
                        }
                        written => {
                            filled += written.unwrap_or(0);
                            break;
                        }
                    }
                },
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        self.content.push(record.payload);
                    }
                }
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(_) => done = Some(Err(io::ErrorKind::BrokenPipe.into())),
                Err(error) => done = Some(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
            if discard > 0 {
                received.drain(..discard);
            }
            if let Some(outcome) = done {
                break outcome;
            }
        };
        if !received.is_empty() {
            self.received = received;
        }
        outcome
    }

    /// Ready when the socket has taken all that is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sealed.is_empty() {
            let length = ready!(Pin::new(&mut self.socket).poll_write(cx, self.sealed.rest()))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sealed.take(length);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `area`, and keeps what the socket does not take.
    fn send(&mut self, cx: &mut Context<'_>, area: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < area.len() {
            match Pin::new(&mut self.socket).poll_write(cx, &area[sent..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(length) => sent += length,
                Poll::Pending => {
                    self.sealed.push(&area[sent..]);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Moves the ticket in front of what is sealed next.
    fn take_ticket(&mut self, area: &mut Vec<u8>) -> usize {
        self.ticket_waits = false;
        let ticket = std::mem::take(&mut self.sealed);
        let length = ticket.rest().len();
        if area.len() < length {
            area.resize(length, 0);
        }
        area[..length].copy_from_slice(ticket.rest());
        length
    }
}

type Message<'a> = rustls::unbuffered::EncodeTlsData<'a, rustls::server::ServerConnectionData>;
type Traffic<'a> = rustls::unbuffered::WriteTraffic<'a, rustls::server::ServerConnectionData>;

/// Lengthens `octets` by a message of TLS itself.
fn encode(data: &mut Message<'_>, octets: &mut Vec<u8>) {
    let filled = octets.len();
    loop {
        match data.encode(&mut octets[filled..]) {
            Err(EncodeError::InsufficientSize(size)) => octets.resize(filled + size.required_size, 0),
            written => return octets.truncate(filled + written.unwrap_or(0)),
        }
    }
}

impl<T: Transport> AsyncRead for Session<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if !this.content.is_empty() {
            let length = this.content.rest().len().min(buf.remaining());
            buf.put_slice(&this.content.rest()[..length]);
            this.content.take(length);
            return Poll::Ready(Ok(()));
        }
        while !this.ended && buf.filled().len() == before {
            let Poll::Ready(advanced) = this.poll_advance(cx, buf) else {
                this.release_ticket(cx);
                return Poll::Pending;
            };
            advanced?;
            if !this.ticket_waits
                // An answer of TLS itself, such as to a KeyUpdate. What does not go now goes in front of what is written next.
                && let Poll::Ready(Err(error)) = this.poll_drain(cx)
            {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for Session<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    /// Accepts as much as may wait as soon as all that was accepted before has gone.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.ticket_waits {
            ready!(this.poll_drain(cx))?;
        }
        let scratch = this.scratch.clone();
        let mut area = scratch.sealed.borrow_mut();
        let mut filled = if this.sealed.is_empty() { 0 } else { this.take_ticket(&mut area) };
        let mut gathered = scratch.content.borrow_mut();
        gathered.clear();
        let mut accepted = 0;
        for piece in bufs {
            let mut piece = &piece[..piece.len().min(this.most - accepted)];
            accepted += piece.len();
            // Head and content share a record; what fills one by itself is not copied.
            while !piece.is_empty() {
                let whole = gathered.is_empty() && (piece.len() >= RECORD || bufs.len() == 1);
                let length = piece.len().min(RECORD - gathered.len());
                let (now, later) = piece.split_at(length);
                piece = later;
                if whole {
                    filled = this.seal(now, &mut area, filled)?;
                    continue;
                }
                gathered.extend_from_slice(now);
                if gathered.len() == RECORD {
                    filled = this.seal(&gathered, &mut area, filled)?;
                    gathered.clear();
                }
            }
        }
        if !gathered.is_empty() {
            filled = this.seal(&gathered, &mut area, filled)?;
        }
        this.send(cx, &area[..filled])?;
        Poll::Ready(Ok(accepted))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A ticket that waits for the first answer is nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ticket_waits { Poll::Ready(Ok(())) } else { this.poll_drain(cx) }
    }

    /// close_notify, then the end of the socket. After an error there is no close_notify to give.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut area = Vec::new();
        let sealed = this.writing(&mut area, 0, |traffic, room| match traffic.queue_close_notify(room) {
            Ok(written) => Ok(Some(written)),
            Err(EncryptError::InsufficientSize(size)) => Err(size),
            Err(EncryptError::EncryptExhausted) => Ok(None),
        });
        if let Ok(length) = sealed {
            this.sealed.push(&area[..length]);
        }
        this.ticket_waits = false;
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
