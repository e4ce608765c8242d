//! The wire as h2 owns it: it can be taken back when h2 is done, it says whether the peer takes what we write, and the end of the
//! peer's side waits here until every answer is out. h2 itself would drop its streams at the first FIN.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;

use crate::connection::reason_of_io;
use crate::reason::Reason;
use crate::transport::{Transport, Wire};

/// The half that h2 drives.
pub(super) struct Line<T: Transport>(Rc<Shared<T>>);

/// The half that the driver keeps.
pub(super) struct LineHandle<T: Transport>(Rc<Shared<T>>);

struct Shared<T: Transport> {
    wire: RefCell<Wire<T>>,
    blocked: Cell<bool>,
    /// This turn has read all that was there, and will be woken by more.
    drained: Cell<bool>,
    ended: Cell<Option<Reason>>,
}

/// Splits a wire into the half for h2 and the half for the driver.
pub(super) fn split<T: Transport>(wire: Wire<T>) -> (Line<T>, LineHandle<T>) {
    let shared = Rc::new(Shared {
        wire: RefCell::new(wire),
        blocked: Cell::new(false),
        drained: Cell::new(false),
        ended: Cell::new(None),
    });
    (Line(shared.clone()), LineHandle(shared))
}

impl<T: Transport> LineHandle<T> {
    /// h2 is about to be polled, maybe often: it asks for octets before each stream that it hands over, and all the way down to the
    /// socket is a fiftieth of a small request.
    pub(super) fn begin_turn(&self) {
        self.0.drained.set(false);
    }

    /// Whether the socket refuses octets now.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.blocked.get()
    }

    /// Why the peer sends nothing more: `peer.closed`, or `tls.shutdown` without close_notify.
    pub(super) fn ended(&self) -> Option<Reason> {
        self.0.ended.get()
    }

    /// The wire, once h2 has dropped its half.
    pub(super) fn into_wire(self) -> Option<Wire<T>> {
        Some(Rc::into_inner(self.0)?.wire.into_inner())
    }
}

impl<T: Transport> Line<T> {
    fn io<R>(&self, call: impl FnOnce(Pin<&mut Wire<T>>) -> R) -> R {
        call(Pin::new(&mut *self.0.wire.borrow_mut()))
    }

    fn note<R>(&self, outcome: Poll<R>) -> Poll<R> {
        // A task that has used up its budget is told to wait as well.
        self.0.blocked.set(outcome.is_pending() && has_budget_remaining());
        outcome
    }
}

impl<T: Transport> AsyncRead for Line<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.drained.get() || self.0.ended.get().is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let end = match self.io(|wire| wire.poll_read(cx, buffer)) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => Reason::PeerClosed,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => reason_of_io(&error),
            outcome => {
                self.0.drained.set(outcome.is_pending());
                return outcome;
            }
        };
        self.0.ended.set(Some(end));
        Poll::Pending
    }
}

impl<T: Transport> AsyncWrite for Line<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.note(self.io(|wire| wire.poll_write(cx, octets)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note(self.io(|wire| wire.poll_write_vectored(cx, slices)))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.wire.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note(self.io(|wire| wire.poll_flush(cx)))
    }

    /// Only flushes: how the peer sees the end is the driver's decision.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
