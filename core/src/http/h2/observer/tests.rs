//! The observer over hand-made frames cut in every place, and between a real h2 client and server.

mod frames;
mod pair;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Limits, Observer, Watch};
use crate::tests::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RESET, SETTINGS, WINDOW_UPDATE, frame,
};

const LIMITS: Limits = Limits { glitch_budget: 100, concurrent_streams: 100, header_block: 1000 };

/// A stream that yields prepared reads and takes at most `room` octets per write.
struct Script {
    reads: VecDeque<Vec<u8>>,
    taken: Vec<u8>,
    room: usize,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut octets) = self.reads.pop_front() else { return Poll::Pending };
        let rest = octets.split_off(octets.len().min(buffer.remaining()));
        buffer.put_slice(&octets);
        if !rest.is_empty() {
            self.reads.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let taken = octets.len().min(self.room);
        self.taken.extend_from_slice(&octets[..taken]);
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = self.taken.len();
        for slice in slices {
            let left = self.room - (self.taken.len() - before);
            let part = &slice[..slice.len().min(left)];
            self.taken.extend_from_slice(part);
        }
        Poll::Ready(Ok(self.taken.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An observer over a [`Script`], as h2 would drive it.
struct Bench {
    observer: Observer<Script>,
    watch: Rc<Watch>,
    wakes: Arc<Wakes>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let watch = Rc::new(Watch::new(limits, 0));
        let script = Script { reads: VecDeque::new(), taken: Vec::new(), room: usize::MAX };
        Self { observer: Observer::new(script, Rc::clone(&watch)), watch, wakes: Arc::default() }
    }

    /// Past both prefaces, our SETTINGS acknowledged.
    fn opened(limits: Limits) -> Self {
        let mut bench = Self::new(limits);
        bench.send(&frame(SETTINGS, 0, 0, &[]));
        bench.receive(&[&preface()[..], &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat());
        assert!(bench.watch.settings_acknowledged());
        bench
    }

    fn poll_read(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        Pin::new(&mut self.observer).poll_read(&mut Context::from_waker(&waker), buffer)
    }

    /// Lets `octets` arrive in one piece; returns what h2 gets of them until it has to wait.
    fn receive(&mut self, octets: &[u8]) -> Vec<u8> {
        if !octets.is_empty() {
            self.observer.stream.reads.push_back(octets.to_vec());
        }
        let mut passed = Vec::new();
        loop {
            let mut room = vec![0; 64 * 1024];
            let mut buffer = ReadBuf::new(&mut room);
            match self.poll_read(&mut buffer) {
                Poll::Pending => return passed,
                Poll::Ready(read) => {
                    read.unwrap();
                    assert!(!buffer.filled().is_empty(), "an empty read would be the end of the stream");
                    passed.extend_from_slice(buffer.filled());
                }
            }
        }
    }

    /// Writes all of `octets`.
    fn send(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.observer).poll_write(&mut cx, octets) {
                Poll::Ready(taken) => octets = &octets[taken.unwrap()..],
                Poll::Pending => panic!("the script has no room"),
            }
        }
    }

    fn events(&self) -> Vec<super::Event> {
        let mut events = Vec::new();
        self.watch.take_events(&mut events);
        events
    }
}

const PRIORITY: u8 = 2;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x10;

const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

fn preface() -> Vec<u8> {
    PREFACE.to_vec()
}

fn reset(stream: u32, code: h2::Reason) -> Vec<u8> {
    frame(RESET, 0, stream, &u32::from(code).to_be_bytes())
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A whole request without content.
fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82; 20])
}

/// A whole answer without content.
fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88])
}
