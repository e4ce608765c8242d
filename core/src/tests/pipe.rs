//! A connection in memory that ends as TCP does: a reset is no end of stream, closing over unread octets is a reset, and each
//! direction can be closed by itself.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::transport::Transport;

/// Both ends of a connection that holds `capacity` octets on their way, in each direction.
pub(super) fn pipe(capacity: usize) -> (Pipe, Line) {
    let (ours, theirs) = duplex(capacity);
    let resets = Rc::new(Resets::default());
    (
        Pipe { stream: ours, resets: resets.clone(), finished: false },
        Line { stream: theirs, resets: resets.clone() },
    )
}

#[derive(Default)]
struct Resets {
    by_server: Cell<bool>,
    by_peer: Cell<bool>,
}

/// The server's end.
pub(super) struct Pipe {
    stream: DuplexStream,
    resets: Rc<Resets>,
    finished: bool,
}

impl Transport for Pipe {
    fn reset(&mut self) {
        self.resets.by_server.set(true);
        self.finish();
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut octet = [0];
        let mut unread = ReadBuf::new(&mut octet);
        if Pin::new(&mut self.stream).poll_read(&mut cx, &mut unread).is_ready()
            && !unread.filled().is_empty()
        {
            self.resets.by_server.set(true);
        }
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
    }

    fn bound_orphan(&self, _: Duration) {}
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.finish();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reset = self.resets.by_peer.get();
        poll_read(Pin::new(&mut self.stream), cx, buffer, reset)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if self.resets.by_peer.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.resets.by_peer.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, octets)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The peer's end.
pub(super) struct Line {
    stream: DuplexStream,
    resets: Rc<Resets>,
}

impl Line {
    /// A way to reset the connection later, from above a TLS session.
    pub(super) fn resetter(&self) -> impl Fn() + 'static {
        let resets = self.resets.clone();
        move || resets.by_peer.set(true)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reset = self.resets.clone();
        // What came before a reset is read first, as from a kernel's buffer.
        poll_read(Pin::new(&mut self.stream), cx, buffer, reset.by_server.get())
    }
}

fn poll_read(
    stream: Pin<&mut DuplexStream>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
    reset: bool,
) -> Poll<io::Result<()>> {
    let before = buffer.filled().len();
    match stream.poll_read(cx, buffer) {
        Poll::Ready(Ok(())) if reset && buffer.filled().len() == before && buffer.remaining() > 0 => {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
        outcome => outcome,
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, octets)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
