//! Exact numbers: one tally per reactor, written by its thread alone, read by anybody as one consistent snapshot. The text form
//! is `metrics.rs`; what is counted when is decided where it happens.
//!
//! A tally is a sequence lock over plain cells: a phase change costs a handful of unlocked stores, and in every snapshot
//! accepted - closed = open = the sum over phases.

mod accepting;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::connection::Protocol;
use crate::deadline::micros;
use crate::http::h2::Glitch;
use crate::link::lock;
use crate::phase::Phase;
use crate::reason::Reason;

pub(crate) use accepting::{Accepting, PauseCause};
pub use snapshot::Snapshot;

/// Upper edges of the histogram buckets, in microseconds; `+Inf` comes after.
pub(crate) const BUCKETS: [u64; 11] = [
    1_000, 5_000, 25_000, 100_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
    60_000_000,
];

/// `None`, HTTP/1.0, HTTP/1.1, HTTP/2.
pub(crate) const PROTOCOLS: usize = 4;

pub(crate) const fn protocol_index(protocol: Option<Protocol>) -> usize {
    match protocol {
        None => 0,
        Some(Protocol::Http10) => 1,
        Some(Protocol::Http11) => 2,
        Some(Protocol::Http2) => 3,
    }
}

/// Status codes 100 to 599, and "none" at 0.
pub(crate) const CODES: usize = 501;

pub(crate) fn code_index(status: u16) -> usize {
    usize::from(status).checked_sub(99).filter(|index| *index < CODES).unwrap_or(0)
}

const HISTOGRAM: usize = BUCKETS.len() + 2;

/// Where the cells of one listener lie, relative to its start.
#[derive(Clone, Copy)]
pub(crate) struct Cell(usize);

pub(crate) const ACCEPTED: Cell = Cell(0);
pub(crate) const CLOSED: Cell = Cell(1);
pub(crate) const PHASES: Cell = Cell(CLOSED.0 + Reason::COUNT);
pub(crate) const STREAMS: Cell = Cell(PHASES.0 + Phase::COUNT);
pub(crate) const LIMITS: Cell = Cell(STREAMS.0 + Phase::COUNT);
pub(crate) const CODE: Cell = Cell(LIMITS.0 + PROTOCOLS * Reason::COUNT);
pub(crate) const ENDED: Cell = Cell(CODE.0 + PROTOCOLS * CODES);
pub(crate) const HANDLER_SECONDS: Cell = Cell(ENDED.0 + PROTOCOLS * Reason::COUNT);
pub(crate) const REQUEST_SECONDS: Cell = Cell(HANDLER_SECONDS.0 + PROTOCOLS * HISTOGRAM);
pub(crate) const HANDSHAKE_SECONDS: Cell = Cell(REQUEST_SECONDS.0 + PROTOCOLS * HISTOGRAM);
pub(crate) const RECEIVED: Cell = Cell(HANDSHAKE_SECONDS.0 + HISTOGRAM);
pub(crate) const SENT: Cell = Cell(RECEIVED.0 + 1);
pub(crate) const GLITCHES: Cell = Cell(SENT.0 + 1);
pub(crate) const STARTED: Cell = Cell(GLITCHES.0 + Glitch::COUNT);
pub(crate) const UNANSWERED: Cell = Cell(STARTED.0 + 1);
pub(crate) const HANDSHAKES_FAILED: Cell = Cell(UNANSWERED.0 + 1);
/// Requests whose program has answered, or that never reached it, and that are not over yet.
pub(crate) const ANSWERED: Cell = Cell(HANDSHAKES_FAILED.0 + 1);
/// Octets of memory held for connections (gauge).
pub(crate) const MEMORY: Cell = Cell(ANSWERED.0 + 1);
const PER_LISTENER: usize = MEMORY.0 + 1;

/// The numbers of one reactor.
pub(crate) struct Tally {
    sequence: AtomicU64,
    cells: Box<[AtomicU64]>,
    /// Rare enough for a lock: completed handshakes by (listener, version, group, resumed).
    handshakes: Mutex<BTreeMap<Handshake, u64>>,
    inline_stalls: AtomicU64,
}

/// What a completed handshake is counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handshake {
    pub(crate) listener: u32,
    pub(crate) version: &'static str,
    pub(crate) group: &'static str,
    pub(crate) resumed: bool,
}

impl Tally {
    pub(crate) fn new(listeners: usize) -> Arc<Self> {
        Arc::new(Self {
            sequence: AtomicU64::new(0),
            cells: (0..listeners * PER_LISTENER).map(|_| AtomicU64::new(0)).collect(),
            handshakes: Mutex::default(),
            inline_stalls: AtomicU64::new(0),
        })
    }

    /// Changes cells of one listener so that no snapshot sees half of it. Only by the reactor's own thread.
    pub(crate) fn write(&self, listener: u32, change: impl FnOnce(&Writer<'_>)) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        change(&Writer { cells: &self.cells, base: listener as usize * PER_LISTENER });
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    pub(crate) fn handshake_completed(&self, handshake: Handshake, took: Duration) {
        self.write(handshake.listener, |cells| cells.observe(HANDSHAKE_SECONDS, 0, took));
        *lock(&self.handshakes).entry(handshake).or_default() += 1;
    }

    /// What the connections of this reactor hold; one cell per listener, each consistent in itself.
    pub(crate) fn memory(&self) -> u64 {
        let cells = self.cells.iter().skip(MEMORY.0).step_by(PER_LISTENER);
        cells.map(|cell| cell.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    pub(crate) fn inline_stalled(&self) {
        self.inline_stalls.fetch_add(1, Ordering::Relaxed);
    }

    fn read_into(&self, sum: &mut Sum) {
        let copy = loop {
            let before = self.sequence.load(Ordering::Acquire);
            let copy: Vec<u64> = self.cells.iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                break copy;
            }
            std::hint::spin_loop();
        };
        for (total, cell) in sum.cells.iter_mut().zip(copy) {
            *total = total.wrapping_add(cell);
        }
        for (handshake, count) in lock(&self.handshakes).iter() {
            *sum.handshakes.entry(handshake.clone()).or_default() += count;
        }
        sum.inline_stalls += self.inline_stalls.load(Ordering::Relaxed);
    }
}

/// The cells of one listener, inside [`Tally::write`].
pub(crate) struct Writer<'a> {
    cells: &'a [AtomicU64],
    base: usize,
}

impl Writer<'_> {
    /// Adds to the cell `index` places behind `cell`; gauges go down by wrapping.
    pub(crate) fn add(&self, cell: Cell, index: usize, amount: u64) {
        let cell = &self.cells[self.base + cell.0 + index];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn inc(&self, cell: Cell, index: usize) {
        self.add(cell, index, 1);
    }

    pub(crate) fn dec(&self, cell: Cell, index: usize) {
        self.add(cell, index, 1u64.wrapping_neg());
    }

    /// Adds one observation to the histogram of this protocol.
    pub(crate) fn observe(&self, histogram: Cell, protocol: usize, took: Duration) {
        let micros = micros(took);
        let bucket = BUCKETS.iter().position(|edge| micros <= *edge).unwrap_or(BUCKETS.len());
        let start = protocol * HISTOGRAM;
        self.inc(histogram, start + bucket);
        self.add(histogram, start + BUCKETS.len() + 1, micros);
    }
}

/// The numbers of all reactors, each part consistent in itself.
pub(crate) struct Sum {
    cells: Vec<u64>,
    pub(crate) listeners: usize,
    pub(crate) handshakes: BTreeMap<Handshake, u64>,
    pub(crate) inline_stalls: u64,
}

impl Sum {
    pub(crate) fn of<'a>(tallies: impl Iterator<Item = &'a Arc<Tally>>, listeners: usize) -> Self {
        let mut sum = Self {
            cells: vec![0; listeners * PER_LISTENER],
            listeners,
            handshakes: BTreeMap::new(),
            inline_stalls: 0,
        };
        for tally in tallies {
            tally.read_into(&mut sum);
        }
        sum
    }

    pub(crate) fn get(&self, listener: usize, cell: Cell, index: usize) -> u64 {
        self.cells[listener * PER_LISTENER + cell.0 + index]
    }

    /// Over all listeners.
    pub(crate) fn total(&self, cell: Cell, index: usize) -> u64 {
        (0..self.listeners).map(|listener| self.get(listener, cell, index)).fold(0, u64::wrapping_add)
    }

    /// Counts per bucket (not cumulated; the last is `+Inf`) and the sum in microseconds.
    pub(crate) fn histogram(
        &self,
        listener: usize,
        cell: Cell,
        protocol: usize,
    ) -> ([u64; BUCKETS.len() + 1], u64) {
        let start = protocol * HISTOGRAM;
        let counts = std::array::from_fn(|bucket| self.get(listener, cell, start + bucket));
        (counts, self.get(listener, cell, start + BUCKETS.len() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_never_sees_half_a_change() {
        let tally = Tally::new(1);
        let reader = {
            let tally = tally.clone();
            std::thread::spawn(move || {
                for _ in 0..2_000 {
                    let sum = Sum::of(std::iter::once(&tally), 1);
                    let accepted = sum.get(0, ACCEPTED, 0);
                    let open: u64 = (0..Phase::COUNT).map(|id| sum.get(0, PHASES, id)).sum();
                    assert_eq!(accepted, open);
                }
            })
        };
        while !reader.is_finished() {
            tally.write(0, |cells| {
                cells.inc(ACCEPTED, 0);
                cells.inc(PHASES, Phase::Hello.id());
            });
            tally.write(0, |cells| {
                cells.dec(PHASES, Phase::Hello.id());
                cells.inc(PHASES, Phase::Idle.id());
            });
        }
        reader.join().unwrap();
    }

    #[test]
    fn observations_fall_into_their_bucket() {
        let tally = Tally::new(2);
        tally.write(1, |cells| {
            cells.observe(HANDLER_SECONDS, 2, Duration::from_millis(1));
            cells.observe(HANDLER_SECONDS, 2, Duration::from_micros(1_001));
            cells.observe(HANDLER_SECONDS, 2, Duration::from_secs(61));
        });
        let sum = Sum::of(std::iter::once(&tally), 2);
        let (counts, micros) = sum.histogram(1, HANDLER_SECONDS, 2);
        assert_eq!((counts[0], counts[1], counts[11]), (1, 1, 1));
        assert_eq!(micros, 1_000 + 1_001 + 61_000_000);
        assert_eq!(sum.histogram(0, HANDLER_SECONDS, 2).1, 0);
        assert_eq!(code_index(200), 101);
        assert_eq!(code_index(599), 500);
        assert_eq!(code_index(0), 0);
    }
}
