//! The books of a connection: in which phase it is and was, the octets and the memory that it has, the limits that struck it, and
//! its records. Each change is counted once, here. Those of a request are `../http/live.rs`.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{Connection, Protocol};
use crate::counters::{CLOSED, LIMITS, MEMORY, PHASES, RECEIVED, SENT, protocol_index};
use crate::deadline::Moment;
use crate::event::{ConnectionRecord, PhaseTimes};
use crate::link::Order;
use crate::phase::Phase;
use crate::reason::Reason;

/// What a TLS session is taken to hold at rest: an estimate, the larger part of the heap of an idle connection (rustls 0.23).
const SESSION_OCTETS: u64 = 4 * 1024;
/// What the h2 crate is taken to hold at rest: an estimate of its write buffer and HPACK's tables, not counted here.
const HTTP2_OCTETS: u64 = 24 * 1024;
/// Our own task and books.
pub(super) const BASE_OCTETS: u64 = 2 * 1024;
/// What a request under way is taken to hold besides its head and content: exchange, books, and h2's own state of the stream.
pub(crate) const EXCHANGE_OCTETS: usize = 2 * 1024;

/// What a connection holds on top of what it holds at rest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Counts against `max_connection_memory_bytes`: the peer has sent it, or has caused it.
    pub(crate) charged: usize,
    /// Counts as memory only. Answers: their writers are made to wait, and what the program gives in one piece is its own
    /// choice, for which the peer must not be cut off. And room that buffers of the pool have beyond what they hold.
    pub(crate) other: usize,
}

impl Connection {
    /// Enters a phase; nothing happens if it is the one.
    pub(crate) fn enter(&mut self, phase: Phase, now: Moment) {
        if phase == self.phase {
            return;
        }
        let left = self.leave(now);
        self.phase = phase;
        let fresh = self.fresh_octets();
        self.reactor.tally.write(self.listener.index, |cells| {
            cells.dec(PHASES, left.id());
            cells.inc(PHASES, phase.id());
            cells.add(RECEIVED, 0, fresh.0);
            cells.add(SENT, 0, fresh.1);
        });
        // 0 stands for "not idle".
        let idle_since = if phase == Phase::Idle { now.max(1) } else { 0 };
        self.info.link.idle_since.store(idle_since, Ordering::Relaxed);
        self.info.link.stalled_since.store(0, Ordering::Relaxed);
        self.record(phase, None);
    }

    fn leave(&mut self, now: Moment) -> Phase {
        self.times[self.phase.id()] += now.saturating_sub(self.entered);
        self.entered = now;
        self.phase
    }

    fn fresh_octets(&mut self) -> (u64, u64) {
        let now = (self.meter.received.get(), self.meter.sent.get());
        let fresh = (now.0 - self.counted.0, now.1 - self.counted.1);
        self.counted = now;
        fresh
    }

    /// Work is under way, and the peer has moved none of it since: who is to go when memory is short.
    pub(crate) fn stalls(&self, since: Option<Moment>) {
        self.info.link.stalled_since.store(since.map_or(0, |since| since.max(1)), Ordering::Relaxed);
    }

    /// What buffers and HTTP state hold now. What cannot be pushed back any more ends the connection (`memory`).
    pub(crate) fn holds(&mut self, held: Held) {
        // Here, where either protocol is in the midst of a turn.
        #[cfg(any(test, feature = "test-panic"))]
        self.info.link.panic_if_asked();
        let secure = self.info.tls.is_some() || self.phase == Phase::Handshake;
        let session = if secure { SESSION_OCTETS } else { 0 };
        let http2 = if self.protocol == Some(Protocol::Http2) { HTTP2_OCTETS } else { 0 };
        let charged = BASE_OCTETS + session + http2 + held.charged as u64;
        let held = charged + held.other as u64;
        if held != self.held {
            let change = held.wrapping_sub(self.held);
            self.held = held;
            self.info.link.held.store(held, Ordering::Relaxed);
            self.reactor.tally.write(self.listener.index, |cells| cells.add(MEMORY, 0, change));
        }
        if charged > self.settings.max_connection_memory_bytes as u64 {
            self.info.link.order(Order::Close(Reason::Memory));
        }
    }

    /// A limit struck, whether or not the connection ends by it.
    pub(crate) fn limit(&self, reason: Reason) {
        let index = protocol_index(self.protocol) * Reason::COUNT + reason.index();
        self.reactor.tally.write(self.listener.index, |cells| cells.inc(LIMITS, index));
    }

    /// Eviction orders are limits that acted; a drain is not.
    pub(crate) fn count_order(&self, reason: Reason) {
        if !matches!(reason, Reason::Drain | Reason::ProgramStop) {
            self.limit(reason);
        }
    }

    /// Order of happening for the next request record.
    pub(crate) fn next_request_seq(&mut self) -> u64 {
        self.request_seq += 1;
        self.request_seq
    }

    /// Closes the books: exactly once, whatever happened. The descriptor is closed already.
    pub(crate) fn close(&mut self, reason: Reason) {
        if mem::replace(&mut self.closed, true) {
            return;
        }
        let now = self.now();
        let left = self.leave(now);
        let fresh = self.fresh_octets();
        self.pending = None;
        self.reactor.tally.write(self.listener.index, |cells| {
            cells.dec(PHASES, left.id());
            cells.inc(CLOSED, reason.index());
            cells.add(MEMORY, 0, self.held.wrapping_neg());
            cells.add(RECEIVED, 0, fresh.0);
            cells.add(SENT, 0, fresh.1);
        });
        self.record(left, Some(reason));
        if reason.is_noise() {
            self.reactor.note_noise(&self.info, left, reason);
        }
    }

    pub(super) fn record(&mut self, phase: Phase, closed: Option<Reason>) {
        self.seq += 1;
        let Some(hook) = self.reactor.shared.hooks.connection.clone() else { return };
        let record = ConnectionRecord {
            connection: self.info.clone(),
            phase,
            closed,
            protocol: self.protocol,
            bytes_in: self.meter.received.get(),
            bytes_out: self.meter.sent.get(),
            requests: self.requests,
            times: self.phase_times(),
            seq: self.seq,
            time: unix_time(),
        };
        self.reactor.observe(|| hook(&record));
    }

    fn phase_times(&self) -> PhaseTimes {
        std::array::from_fn(|id| Duration::from_micros(self.times[id]))
    }
}

/// Unix time, for records.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
