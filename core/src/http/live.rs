//! The books of one request, for both protocols: when it began, what it spent where, what was sent, how it ended. Counted and
//! recorded here and nowhere else; what is sent is the drivers' business.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::connection::{Connection, unix_time};
use crate::counters::{
    ANSWERED, CODE, CODES, ENDED, HANDLER_SECONDS, REQUEST_SECONDS, STARTED, UNANSWERED, code_index,
    protocol_index,
};
use crate::deadline::{Moment, Strike};
use crate::event::RequestRecord;
use crate::exchange::{Exchange, Failure, Locked, Opening, Outcome, Stage};
use crate::http::head::Head;
use crate::phase::Phase;
use crate::reason::Reason;

/// A request under way, from the connection's side.
pub(crate) struct Live {
    pub(crate) exchange: Arc<Exchange>,
    books: Books,
    dispatched: Moment,
}

/// A request that has begun, whether or not the program will ever see it.
pub(crate) struct Books {
    began: Moment,
    entered: Moment,
    phase: Phase,
    times: [u64; Phase::COUNT],
    /// HTTP/2 stream id; 0 on HTTP/1.
    stream: u32,
    /// Status code sent; 0 = none yet.
    pub(crate) status: u16,
    /// Content octets sent.
    pub(crate) sent: u64,
}

impl Books {
    /// A header section is complete; its first octet came at `began`.
    pub(crate) fn open(connection: &mut Connection, stream: u32, began: Moment, now: Moment) -> Self {
        connection.requests += 1;
        connection.reactor.tally.write(connection.listener.index, |cells| cells.inc(STARTED, 0));
        let mut books = Self {
            began,
            entered: began,
            phase: Phase::Header,
            times: [0; Phase::COUNT],
            stream,
            status: 0,
            sent: 0,
        };
        books.enter(Phase::Handler, now);
        books
    }

    /// The request's own phase; of an HTTP/1 connection it is the connection's too.
    pub(crate) fn enter(&mut self, phase: Phase, now: Moment) {
        if phase != self.phase {
            self.times[self.phase.id()] += now.saturating_sub(self.entered);
            self.entered = now;
            self.phase = phase;
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Ends a request that never reached the program.
    pub(crate) fn close(
        mut self,
        connection: &mut Connection,
        head: Option<&Head>,
        received: u64,
        reason: Reason,
    ) {
        let facts = Facts {
            token: 0,
            method: head.map_or(&[], Head::method),
            target: head.map_or(&[], Head::target),
            received,
            unanswered: false,
            answered: false,
        };
        self.settle(connection, &facts, reason);
    }

    fn settle(&mut self, connection: &mut Connection, facts: &Facts<'_>, reason: Reason) {
        let now = connection.latest();
        let last = self.phase;
        self.times[last.id()] += now.saturating_sub(self.entered);
        let protocol = protocol_index(connection.protocol);
        connection.reactor.tally.write(connection.listener.index, |cells| {
            cells.inc(CODE, protocol * CODES + code_index(self.status));
            cells.inc(ENDED, protocol * Reason::COUNT + reason.index());
            cells.observe(REQUEST_SECONDS, protocol, Duration::from_micros(now.saturating_sub(self.began)));
            if facts.unanswered {
                cells.inc(UNANSWERED, 0);
            }
            if facts.answered {
                cells.dec(ANSWERED, 0);
            }
        });
        let seq = connection.next_request_seq();
        if let Some(hook) = connection.reactor.shared.hooks.request_end.clone() {
            let record = RequestRecord {
                connection: connection.info.clone(),
                stream: self.stream,
                token: facts.token,
                method: facts.method.into(),
                target: facts.target.into(),
                status: self.status,
                reason,
                bytes_in: facts.received,
                bytes_out: self.sent,
                times: std::array::from_fn(|id| Duration::from_micros(self.times[id])),
                seq,
                time: unix_time(),
            };
            connection.reactor.observe(|| hook(&record));
        }
    }
}

struct Facts<'a> {
    token: u64,
    method: &'a [u8],
    target: &'a [u8],
    received: u64,
    unanswered: bool,
    /// Counted among the answered.
    answered: bool,
}

impl Live {
    /// Makes the exchange and hands it to the program. `Err`: there is no room for one more handler, and why.
    #[expect(clippy::result_large_err, reason = "both outcomes carry the same value on")]
    pub(crate) fn dispatch(
        connection: &mut Connection,
        books: Books,
        head: Head,
        (key, stream): (u32, u32),
        buffered: Option<Bytes>,
    ) -> Result<Self, (Self, Reason)> {
        let now = connection.latest();
        let inline = connection.reactor.shared.dispatch.is_inline();
        let opening = Opening { connection: &connection.info, key, stream, buffered, now, inline };
        let exchange = connection.reactor.exchanges.make(head, opening);
        let live = Self { dispatched: now, exchange, books };
        match connection.reactor.dispatch(&live.exchange) {
            Ok(()) => Ok(live),
            Err(reason) => Err((live, reason)),
        }
    }

    pub(crate) fn books(&mut self) -> &mut Books {
        &mut self.books
    }

    /// The response head is on its way.
    pub(crate) fn answered(&mut self, connection: &Connection, status: u16, now: Moment) {
        self.books.status = status;
        let took = Duration::from_micros(now.saturating_sub(self.dispatched));
        let protocol = protocol_index(connection.protocol);
        connection.reactor.tally.write(connection.listener.index, |cells| {
            cells.inc(ANSWERED, 0);
            cells.observe(HANDLER_SECONDS, protocol, took);
        });
    }

    /// Raises the cancel signal and tells the program; nothing happens if it was raised before.
    pub(crate) fn cancel(&self, connection: &Connection, reason: Reason) {
        let (raised, hook) = self.exchange.raise_cancel(&mut self.exchange.locked(), reason);
        if raised {
            connection.reactor.tell_cancelled(&self.exchange, reason, hook);
        }
    }

    /// As [`Live::cancel`], under the caller's lock; the caller tells with what this returns.
    pub(crate) fn raise(&self, state: &mut Locked<'_>, reason: Reason) -> Option<Raised> {
        let (raised, hook) = self.exchange.raise_cancel(state, reason);
        raised.then(|| Raised { hook, reason })
    }

    /// The exchange is over on the wire.
    pub(crate) fn end(mut self, connection: &mut Connection, reason: Reason) {
        if reason != Reason::Complete {
            self.cancel(connection, reason);
        }
        let exchange = self.exchange;
        let outcome = Outcome { status: self.books.status, sent: self.books.sent, reason };
        let (received, unanswered, ready, hook) = {
            let mut state = exchange.locked();
            exchange.close(&mut state, outcome);
            let unanswered = state.answer.stage == Stage::Failed(Failure::Unanswered);
            (state.content.received, unanswered, exchange.take_ready(&mut state), state.on_cancel.take())
        };
        // Outside the lock: a hook that was never called is dropped, which may run the program's code.
        if let Some(hook) = hook {
            connection.reactor.observe(|| drop(hook));
        }
        let facts = Facts {
            token: exchange.token(),
            method: exchange.head.method(),
            target: exchange.head.target(),
            received,
            unanswered,
            answered: self.books.status != 0,
        };
        self.books.settle(connection, &facts, reason);
        for ready in ready.into_iter().flatten() {
            connection.reactor.tell_ready(&exchange, ready);
        }
        connection.reactor.tell_done(&exchange, outcome);
        connection.reactor.exchanges.keep(exchange);
    }
}

/// A cancel signal that was raised and not told yet.
pub(crate) struct Raised {
    hook: Option<crate::exchange::CancelHook>,
    reason: Reason,
}

impl Raised {
    pub(crate) fn tell(self, connection: &Connection, live: &Live) {
        connection.reactor.tell_cancelled(&live.exchange, self.reason, self.hook);
    }
}

/// Which limit of the content struck.
pub(crate) fn body_reason(strike: Strike) -> Reason {
    match strike {
        Strike::Idle => Reason::BodyIdle,
        Strike::Rate => Reason::BodyRate,
        Strike::Total => Reason::BodyTimeout,
    }
}

/// Which limit of the answer struck.
pub(crate) fn write_reason(strike: Strike) -> Reason {
    match strike {
        Strike::Idle => Reason::WriteIdle,
        Strike::Rate => Reason::WriteRate,
        Strike::Total => Reason::WriteTimeout,
    }
}
