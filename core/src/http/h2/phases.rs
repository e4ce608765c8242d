//! The clocks and ends of the connection itself: opening, header, idle, drain, age, budgets. Each `judge` looks once at all of
//! them; the streams' own limits are passed on to them. What the peer sees stands beside each row of the settings list.

use super::glitches::Glitch;
use super::stream::Fate;
use super::{Driver, Side};
use crate::connection::{Connection, End};
use crate::deadline::{Moment, NEVER, micros};
use crate::link::Order;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

/// How long an idle connection that was told to go waits for the answer to the PING between its two GOAWAYs. RFC 9113 §6.8 asks
/// for one round trip; a peer that does not answer a PING within this has no claim to more.
const ROUND_TRIP: u64 = 1_000_000;

/// Idle for longer than this, a connection is not between two bursts: it gives back the room that the last one took.
const PAUSE: u64 = 1_000_000;

/// Where the connection is, and since when.
pub(super) struct Phases {
    /// The handshake's end.
    since: Moment,
    /// The preface was complete.
    opened: Option<Moment>,
    /// Our SETTINGS were on their way.
    settings_taken: Option<Moment>,
    settings_acknowledged: bool,
    /// The peer's open header block: which, and since when.
    block: Option<(u64, Moment)>,
    /// The connection has carried no stream since.
    idle: Moment,
    /// A graceful GOAWAY is out, and why.
    pub(super) retiring: Option<(Reason, Moment)>,
    /// The last GOAWAY is on its way: why, and when we give up on it.
    pub(super) closing: Option<(Reason, Moment)>,
    /// The socket took something, or had nothing to take.
    socket: Moment,
    /// The peer has sent its last octet, and why the connection closes once all is answered.
    half_closed: Option<Reason>,
    /// The room that a burst has taken was given back.
    slim: bool,
    /// h2 has something to send that is not a stream's.
    pub(super) moved: bool,
    /// The charges that the server's numbers know of, by kind and together.
    pub(super) counted: [u32; Glitch::COUNT],
    pub(super) charges: u32,
}

impl Phases {
    pub(super) fn new(since: Moment) -> Self {
        Self {
            since,
            opened: None,
            settings_taken: None,
            settings_acknowledged: false,
            block: None,
            idle: since,
            retiring: None,
            closing: None,
            socket: since,
            half_closed: None,
            slim: true,
            moved: false,
            counted: [0; Glitch::COUNT],
            charges: 0,
        }
    }

    pub(super) fn socket_moved(&mut self, now: Moment) {
        self.socket = now;
    }

    /// When the header block that was open at the last look began.
    pub(super) fn block_began(&self) -> Option<Moment> {
        self.block.map(|(_, since)| since)
    }

    fn note(&mut self, side: &Side) {
        let watch = &side.watch;
        if self.opened.is_none() && watch.preface_complete() {
            self.opened = Some(side.now);
        }
        if self.settings_taken.is_none() && watch.settings_taken() {
            self.settings_taken = Some(side.now);
        }
        self.settings_acknowledged = self.settings_acknowledged || watch.settings_acknowledged();
        self.block = watch.header_block().map(|_| {
            let number = watch.header_blocks_begun();
            match self.block {
                Some((known, since)) if known == number => (number, since),
                _ => (number, side.now),
            }
        });
    }
}

impl<T: Transport> Driver<'_, T> {
    /// Looks whether the connection has to end, now (`Some`) or by a GOAWAY.
    pub(super) fn judge(&mut self, busy: bool, connection: &mut Connection) -> Option<(End, Reason)> {
        let now = self.side.now;
        self.phases.note(&self.side);
        if let Some((reason, due)) = self.phases.closing {
            return self.judge_closing(reason, due, connection);
        }
        if let over @ Some(_) = self.obey(connection) {
            return over;
        }
        if self.phases.closing.is_some() {
            return None;
        }
        self.phases.moved |= self.lingering.expire(now);
        self.place(busy, connection);
        if let over @ Some(_) = self.note_half_close(busy, connection) {
            return over;
        }
        if let Some(withheld) = self.side.watch.withheld() {
            connection.limit(withheld.reason());
            self.close(withheld.code(), withheld.reason(), connection);
            return None;
        }
        if self.side.watch.warned() {
            self.retire(self.glitch_reason(), connection);
        }
        if self.phases.opened.is_some()
            && let Some(reason) = connection.retires(now)
        {
            self.retire(reason, connection);
        }
        if now >= self.streams_due {
            let over = self.expire_streams(connection);
            self.place(true, connection);
            if over.is_some() {
                return over;
            }
        }
        self.strike(connection)
    }

    /// The last GOAWAY goes out as long as the peer takes it.
    fn judge_closing(
        &mut self,
        reason: Reason,
        due: Moment,
        connection: &Connection,
    ) -> Option<(End, Reason)> {
        let stop =
            matches!(connection.info.link.current_order(), Order::Close(Reason::Drain | Reason::ProgramStop));
        if self.side.now >= due {
            connection.limit(Reason::FlushTimeout);
        }
        (stop || self.side.now >= due).then_some((End::Reset, reason))
    }

    /// What the server asks of the connection.
    fn obey(&mut self, connection: &mut Connection) -> Option<(End, Reason)> {
        match connection.info.link.current_order() {
            Order::Serve => None,
            Order::MakeRoom(reason) if connection.phase() == Phase::Idle => {
                connection.count_order(reason);
                self.close(h2::Reason::NO_ERROR, reason, connection);
                None
            }
            Order::MakeRoom(_) => {
                connection.decline();
                None
            }
            Order::Drain if self.phases.opened.is_none() => Some((End::Close, Reason::Drain)),
            Order::Drain if self.streams.is_empty() && self.phases.retiring.is_none() => {
                self.close(h2::Reason::NO_ERROR, Reason::Drain, connection);
                None
            }
            Order::Drain => {
                self.retire(Reason::Drain, connection);
                None
            }
            Order::Close(reason @ (Reason::Drain | Reason::ProgramStop)) if !self.streams.is_empty() => {
                Some((End::Reset, reason))
            }
            // What is to be freed must not wait for a socket that takes nothing.
            Order::Close(Reason::Memory) if self.side.blocked => {
                connection.count_order(Reason::Memory);
                Some((End::Reset, Reason::Memory))
            }
            Order::Close(reason) => {
                connection.count_order(reason);
                let code = if reason == Reason::Memory {
                    h2::Reason::ENHANCE_YOUR_CALM
                } else {
                    h2::Reason::NO_ERROR
                };
                self.close(code, reason, connection);
                None
            }
        }
    }

    /// The peer's FIN, or close_notify: requests are told and may still be answered; then nothing is left to do.
    fn note_half_close(&mut self, busy: bool, connection: &mut Connection) -> Option<(End, Reason)> {
        let ended = self.line.ended()?;
        let reason = match self.phases.half_closed {
            Some(reason) => reason,
            None => {
                let mut cut = self.side.watch.header_block().is_some();
                for id in self.streams.ids() {
                    if let Some(stream) = self.streams.get(id) {
                        let (fate, is_cut) = stream.half_closed(ended, connection, &mut self.side);
                        cut |= is_cut;
                        self.settle(id, fate, connection);
                    }
                }
                self.lingering.clear();
                self.phases.moved = true;
                *self.phases.half_closed.insert(if cut { ended } else { Reason::PeerClosed })
            }
        };
        // What h2 was given in this turn goes out in the next.
        if !self.streams.is_empty() || self.side.blocked || busy || self.phases.moved {
            return None;
        }
        let reason = match (reason, self.side.watch.goaway_received()) {
            (Reason::PeerClosed, Some(h2::Reason::NO_ERROR)) => Reason::Complete,
            (reason, _) => reason,
        };
        Some((End::Close, self.phases.retiring.map_or(reason, |(reason, _)| reason)))
    }

    /// Two-step GOAWAY: requests in flight complete, the peer goes elsewhere with the next.
    fn retire(&mut self, reason: Reason, connection: &Connection) {
        if self.phases.retiring.is_none() {
            if reason != Reason::Drain {
                connection.limit(reason);
            }
            self.h2.graceful_shutdown();
            self.phases.retiring = Some((reason, self.side.now));
            self.phases.moved = true;
        }
    }

    /// One GOAWAY, and the end of everything behind it.
    fn close(&mut self, code: h2::Reason, reason: Reason, connection: &mut Connection) {
        self.h2.abrupt_shutdown(code);
        self.end_all(reason, connection);
        let due = self.side.now + micros(connection.settings.flush_timeout);
        self.phases.closing = Some((reason, due));
        self.phases.moved = true;
        connection.enter(Phase::Flush, self.side.now);
    }

    /// Streams are about to be served.
    pub(super) fn streams_open(&mut self, connection: &mut Connection) {
        if self.phases.closing.is_none() {
            self.phases.note(&self.side);
            connection.enter(Phase::Streams, self.side.now);
        }
    }

    /// The connection's own phase.
    fn place(&mut self, busy: bool, connection: &mut Connection) {
        let begun = self.side.watch.header_blocks_begun();
        let phase = match self.phases.opened {
            None => Phase::Opening,
            Some(_) if !self.streams.is_empty() => Phase::Streams,
            Some(_) if begun == 0 || self.phases.block.is_some() => Phase::Header,
            // Frames of ours that are no stream's (the first GOAWAY, answers to PING) wait for the socket.
            Some(_) if self.side.blocked => Phase::Flush,
            Some(_) => Phase::Idle,
        };
        let rests = |phase| matches!(phase, Phase::Idle | Phase::Flush);
        if rests(phase) && !rests(connection.phase()) {
            self.phases.idle = self.side.now;
            self.phases.slim = false;
        } else if phase == Phase::Idle && connection.phase() == Phase::Idle && !busy {
            // Whatever was on its way out is out.
            self.side.shadows.forget();
        }
        connection.enter(phase, self.side.now);
    }

    /// When which limit of the connection strikes, with which GOAWAY; none for a plain close, or a reset.
    fn next_strike(&self, connection: &Connection) -> (Moment, Strike) {
        let settings = &connection.settings;
        let phases = &self.phases;
        let load = &connection.reactor.shared;
        let header = || micros(load.under_load(settings.header_timeout));
        let mut strikes = [(NEVER, Strike::Preface); 6];
        if let Some(since) = phases.settings_taken.filter(|_| !phases.settings_acknowledged) {
            strikes[0] = (since + micros(settings.h2_settings_timeout), Strike::Settings);
        }
        strikes[1] = match (connection.phase(), phases.block, phases.opened) {
            (Phase::Opening, ..) => (phases.since + micros(settings.h2_preface_timeout), Strike::Preface),
            (_, Some((1, _)), Some(opened)) => (opened + header(), Strike::Header),
            (_, Some((_, since)), _) => (since + header(), Strike::Header),
            (Phase::Header, None, Some(opened)) => (opened + header(), Strike::NoRequest),
            (Phase::Idle, ..) => (phases.idle + micros(load.under_load(settings.idle_timeout)), Strike::Idle),
            _ => (NEVER, Strike::Preface),
        };
        if connection.phase() == Phase::Idle {
            strikes[2] = match phases.retiring {
                Some((reason, since)) => (since.max(phases.idle) + ROUND_TRIP, Strike::Retired(reason)),
                None => (connection.retires_at(), Strike::Age),
            };
        } else if phases.retiring.is_none() {
            strikes[3] = (connection.retires_at(), Strike::Age);
        }
        if self.side.blocked && self.unfinished.is_empty() {
            strikes[4] = (phases.socket + micros(settings.flush_timeout), Strike::Stalled);
        }
        if connection.phase() == Phase::Idle && !phases.slim {
            strikes[5] = (phases.idle + PAUSE, Strike::Slim);
        }
        strikes.into_iter().min_by_key(|(due, _)| *due).unwrap_or((NEVER, Strike::Preface))
    }

    fn strike(&mut self, connection: &mut Connection) -> Option<(End, Reason)> {
        let (due, strike) = self.next_strike(connection);
        if self.side.now < due {
            return None;
        }
        let (code, reason) = match strike {
            Strike::Slim => {
                self.slim();
                self.phases.slim = true;
                return None;
            }
            Strike::Age => {
                self.retire(Reason::Age, connection);
                return None;
            }
            Strike::Retired(reason) => {
                self.close(h2::Reason::NO_ERROR, reason, connection);
                return None;
            }
            Strike::Preface => {
                connection.limit(Reason::H2PrefaceTimeout);
                return Some((End::Close, Reason::H2PrefaceTimeout));
            }
            Strike::Stalled => {
                connection.enter(Phase::Flush, self.side.now);
                connection.limit(Reason::FlushTimeout);
                return Some((End::Reset, Reason::FlushTimeout));
            }
            Strike::Settings => (h2::Reason::SETTINGS_TIMEOUT, Reason::H2SettingsTimeout),
            Strike::Header => (h2::Reason::ENHANCE_YOUR_CALM, Reason::HeaderTimeout),
            Strike::NoRequest => (h2::Reason::NO_ERROR, Reason::HeaderTimeout),
            Strike::Idle => (h2::Reason::NO_ERROR, Reason::IdleTimeout),
        };
        connection.limit(reason);
        self.close(code, reason, connection);
        None
    }

    /// The limits of streams that are due. The deadline is found anew by looking at all, which is rare: it only ever moved ahead.
    fn expire_streams(&mut self, connection: &mut Connection) -> Option<(End, Reason)> {
        for id in self.streams.ids() {
            let Some(stream) = self.streams.get(id).filter(|stream| stream.due() <= self.side.now) else {
                continue;
            };
            let fate = stream.expired();
            connection.limit(fate.reason());
            // A reset of the stream would wait behind the same socket.
            if self.side.blocked && matches!(fate, Fate::Reset(..)) {
                return Some((End::Reset, fate.reason()));
            }
            self.finish(id, fate, connection);
            self.phases.moved = true;
        }
        self.streams_due = self.streams.due();
        None
    }

    /// When the connection must be looked at again, whatever happens.
    pub(super) fn due(&self, connection: &Connection) -> Moment {
        match self.phases.closing {
            Some((_, due)) => due,
            None => self.next_strike(connection).0.min(self.streams_due).min(self.lingering.due()),
        }
    }
}

/// What is due on the connection itself.
#[derive(Clone, Copy)]
enum Strike {
    Preface,
    Settings,
    Header,
    NoRequest,
    Idle,
    Age,
    Retired(Reason),
    Slim,
    Stalled,
}
