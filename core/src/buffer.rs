//! Buffers that the connections of a reactor share: of input, initialised once, and of output. A connection owns one only while
//! it holds octets that nobody has used up, or taken; at rest it owns none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Large enough that a TLS record's 16 KiB of plaintext fit behind a partial head.
const SIZE: usize = 20 * 1024;
/// Most buffers that a reactor keeps for later.
const SPARES: usize = 64;

/// Larger output buffers are not kept.
const MAX_OUTPUT: usize = 128 * 1024;

/// Buffers that nobody uses now.
#[derive(Default)]
pub(crate) struct Pool {
    spares: RefCell<Vec<Vec<u8>>>,
    outputs: RefCell<Vec<Vec<u8>>>,
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.spares.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE])
    }

    /// Forgets the buffers that nobody uses.
    pub(crate) fn trim(&self) {
        self.spares.borrow_mut().clear();
        self.outputs.borrow_mut().clear();
    }

    /// An empty buffer for octets on their way out.
    pub(crate) fn take_output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an output buffer back, unless it grew out of proportion.
    pub(crate) fn give_output(&self, mut buffer: Vec<u8>) {
        let mut outputs = self.outputs.borrow_mut();
        if buffer.capacity() <= MAX_OUTPUT && outputs.len() < SPARES {
            buffer.clear();
            outputs.push(buffer);
        }
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut spares = self.spares.borrow_mut();
        if buffer.len() == SIZE && spares.len() < SPARES {
            spares.push(buffer);
        }
    }
}

/// Octets that were read and not used up.
#[derive(Default)]
pub(crate) struct Input {
    /// All of it initialised; empty when nothing is held.
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn octets(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.data.len()
    }

    /// The first `length` octets were used up. A cursor moves; nothing is copied, so that a pipelined burst stays linear.
    pub(crate) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Reads once. Zero octets mean the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        pool: &Pool,
        mut wire: Pin<&mut impl AsyncRead>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(pool);
        let mut buffer = ReadBuf::new(&mut self.data[self.end..]);
        let outcome = wire.as_mut().poll_read(cx, &mut buffer);
        let length = buffer.filled().len();
        self.end += length;
        if !matches!(outcome, Poll::Ready(Ok(()))) {
            self.rest(pool);
        }
        ready!(outcome)?;
        Poll::Ready(Ok(length))
    }

    fn make_room(&mut self, pool: &Pool) {
        if self.data.len() < SIZE {
            // At rest it was as short as what it holds. One that is initialised already: to do that anew for each octet of
            // thousands of drips took most of their time, and the cache from everybody else.
            let mut whole = pool.take();
            let held = self.octets();
            whole[..held.len()].copy_from_slice(held);
            (self.start, self.end) = (0, held.len());
            self.data = whole;
        } else if self.start > 0 && (self.is_empty() || self.end == self.data.len()) {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.data.len() {
            self.data.resize(self.data.len() * 2, 0);
        }
    }

    /// Gives the buffer back as far as nothing is held: an idle connection owns none, a drip only what it dripped.
    pub(crate) fn rest(&mut self, pool: &Pool) {
        if self.is_empty() {
            if !self.data.is_empty() {
                pool.give(std::mem::take(&mut self.data));
            }
            (self.start, self.end) = (0, 0);
        } else if self.data.len() == SIZE && self.len() <= SIZE / 8 {
            let held = self.octets().to_vec();
            (self.start, self.end) = (0, held.len());
            pool.give(std::mem::replace(&mut self.data, held));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_at_rest_owns_only_what_it_holds() {
        let pool = Pool::default();
        let mut input = Input::default();
        let waker = std::task::Waker::noop();
        let mut cx = Context::from_waker(waker);
        let mut source: &[u8] = b"GET / HT";
        assert!(matches!(input.poll_fill(&mut cx, &pool, Pin::new(&mut source)), Poll::Ready(Ok(8))));
        input.rest(&pool);
        assert_eq!((input.octets(), input.capacity()), (&b"GET / HT"[..], 8));
        let spare = pool.spares.borrow()[0].as_ptr();
        let mut source: &[u8] = b"TP/1.1";
        assert!(matches!(input.poll_fill(&mut cx, &pool, Pin::new(&mut source)), Poll::Ready(Ok(6))));
        assert_eq!(input.octets(), b"GET / HTTP/1.1");
        assert_eq!(input.octets().as_ptr(), spare, "nothing is initialised twice");
        input.consume(14);
        input.rest(&pool);
        assert_eq!(input.capacity(), 0);
        assert!(pool.spares.borrow().iter().all(|spare| spare.len() == SIZE));
    }
}
