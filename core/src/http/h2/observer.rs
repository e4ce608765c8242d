//! The stream between TLS and h2: it passes octets on and walks the frame heads among them, both ways, because h2 shows
//! neither its own answers nor most of what floods it. What follows from a frame is in `observer/state.rs`, where a head
//! begins in `observer/frames.rs`, what abuse costs in `glitches.rs`. Nothing is sent or changed here; input is cut off
//! when the watch says so, and the driver then closes with the GOAWAY that the watch names.

mod frames;
mod state;
mod trailers;
mod watch;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frames::Walker;
pub(crate) use watch::{Event, Limits, Watch};

/// Octets of the client's connection preface, before its first frame.
const PREFACE: usize = 24;

/// A stream whose frames are watched.
#[derive(Debug)]
pub(crate) struct Observer<S> {
    stream: S,
    watch: Rc<Watch>,
    preface_left: usize,
    inbound: Walker,
    outbound: Walker,
}

impl<S> Observer<S> {
    /// Watches `stream` from its first octet on. h2 owns the observer: the driver keeps its own handle of `watch`.
    pub(crate) fn new(stream: S, watch: Rc<Watch>) -> Self {
        Self { stream, watch, preface_left: PREFACE, inbound: Walker::default(), outbound: Walker::default() }
    }

    /// Walks what arrived; returns how many octets h2 may see: all, or those before the frame that went too far.
    fn arrived(&mut self, octets: &[u8]) -> usize {
        let mut watch = self.watch.state();
        let preface = octets.len().min(self.preface_left);
        self.preface_left -= preface;
        let mut rest = &octets[preface..];
        let mut frame_start = 0;
        loop {
            if self.inbound.is_between_frames() {
                frame_start = octets.len() - rest.len();
            }
            let unread = rest;
            let Some(piece) = self.inbound.step(&mut rest) else { return octets.len() };
            watch.received(&piece);
            if watch.is_in_trailers() {
                let end = unread.len() - rest.len();
                watch.trailers_received(&piece, &unread[end - piece.octets..end]);
            }
            if watch.withheld.is_some() {
                return frame_start;
            }
        }
    }

    /// Walks octets that the stream below has taken.
    fn taken(&mut self, mut octets: &[u8]) {
        let mut watch = self.watch.state();
        while let Some(piece) = self.outbound.step(&mut octets) {
            watch.sent(&piece);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observer<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Never an error: h2 would close without the GOAWAY that says why. The task is woken so that the driver looks.
        let hold = this.watch.state().hold();
        if let Some(wake) = hold {
            if wake {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let passed = before + this.arrived(&buffer.filled()[before..]);
        if passed < buffer.filled().len() {
            buffer.set_filled(passed);
            if passed == before {
                // Ready without an octet would be the end of the stream.
                return Pin::new(this).poll_read(cx, buffer);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observer<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = ready!(Pin::new(&mut this.stream).poll_write(cx, octets))?;
        this.taken(&octets[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        let mut left = taken;
        for slice in slices {
            let octets = &slice[..slice.len().min(left)];
            this.taken(octets);
            left -= octets.len();
            if left == 0 {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
