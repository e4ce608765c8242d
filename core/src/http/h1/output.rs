//! Octets on their way to the peer: one buffer for heads, content and our own answers, so that a small answer, or a pipelined
//! burst of them, leaves in one send. What is written into it is the business of `encode.rs` and the drivers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::buffer::Pool;

/// Most octets that are gathered before the socket must take some.
pub(crate) const FULL: usize = 64 * 1024;

/// What waits for the socket; owns no memory while nothing does.
#[derive(Default)]
pub(crate) struct Output {
    octets: Vec<u8>,
    taken: usize,
    /// Handed to the transport and perhaps held there (TLS records).
    unflushed: bool,
}

impl Output {
    /// Where more is appended.
    pub(crate) fn buffer(&mut self, pool: &Pool) -> &mut Vec<u8> {
        if self.octets.capacity() == 0 {
            self.octets = pool.take_output();
        }
        // A reader that never quite catches up would make it grow by all that it is ever sent.
        if self.taken >= FULL {
            self.octets.drain(..self.taken);
            self.taken = 0;
        }
        &mut self.octets
    }

    /// Octets that the transport has not taken.
    pub(crate) fn len(&self) -> usize {
        self.octets.len() - self.taken
    }

    /// Whether the socket has taken everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.octets.capacity()
    }

    /// Hands over as much as the transport takes. Ready once the socket has taken everything.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pool: &Pool,
        mut wire: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        while self.taken < self.octets.len() {
            self.unflushed = true;
            let length = ready!(wire.as_mut().poll_write(cx, &self.octets[self.taken..]))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += length;
        }
        if !self.octets.is_empty() {
            self.taken = 0;
            pool.give_output(std::mem::take(&mut self.octets));
        }
        if self.unflushed {
            ready!(wire.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
