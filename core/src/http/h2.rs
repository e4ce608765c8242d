//! The HTTP/2 connection: drives the h2 crate and hands its streams to `h2/stream.rs`. Here are the order of one turn and
//! what events mean; when the connection itself ends is `h2/phases.rs`. Frames are h2's business, floods are the observer's.
//!
//! One turn: accept until nothing is left, hand all of it to the program, then answer all of it, then let h2 write once. An answer
//! given between two accepts would go out alone, since every accept flushes first: 0.42x the requests per second. And the whole way
//! of a request is more code than an instruction cache of 32 KiB holds: taken stream by stream, it misses twice as often.

mod answer;
mod fresh;
mod gather;
mod glitches;
mod line;
mod linger;
mod observer;
mod phases;
mod reasons;
mod receive;
mod send;
mod settings;
mod side;
mod stream;
mod streams;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::connection::{Connection, End, Held, end, reason_of_io};
use crate::deadline::{Moment, NEVER, PhaseLimits, micros};
use crate::exchange::Limits;
use crate::http::live::Books;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::{Transport, Wire};

use fresh::Fresh;
pub(crate) use glitches::Glitch;
use line::{Line, LineHandle};
use linger::Lingering;
use observer::{Event, Observer, Watch};
use phases::Phases;
use side::Side;
use stream::{Fate, Stream};
use streams::Streams;

/// Turns that follow each other at once. What one has given to h2 goes out in the next, and does so while it is in the cache:
/// behind the bursts of other connections it would not be.
const TURNS: usize = 2;

/// What a turn came to.
enum Turn {
    /// Nothing to do until somebody wakes us.
    Wait,
    /// h2 was given something, and sends it when it is polled again: once for all of it.
    Again,
    Over(End, Reason),
}

/// Room that lists of one turn keep while the connection is idle.
const KEPT: usize = 4;

/// Serves a connection to its end and closes it. `replay` is what was read before it turned out to be HTTP/2.
pub(crate) async fn serve<T: Transport>(
    connection: &mut Connection,
    mut wire: Wire<T>,
    replay: Vec<u8>,
) -> Reason {
    if let Wire::Plain(socket) = &mut wire {
        socket.unread(replay);
    }
    let (line, handle) = line::split(wire);
    let (how, reason) = drive(connection, line, &handle).await;
    if let Some(wire) = handle.into_wire() {
        end(connection, wire, how).await;
    }
    reason
}

/// Runs h2 until the connection is over, and drops it.
async fn drive<T: Transport>(
    connection: &mut Connection,
    line: Line<T>,
    handle: &LineHandle<T>,
) -> (End, Reason) {
    let now = connection.now();
    connection.enter(Phase::Opening, now);
    // On cleartext the phase began with `PRI `, before this was called.
    let since = connection.entered();
    let watch = Rc::new(Watch::new(settings::limits(&connection.settings), now / 1000));
    let observer = Observer::new(line, watch.clone());
    let mut handshake = Box::pin(settings::builder(&connection.settings).handshake(observer));
    let due = since + micros(connection.settings.h2_preface_timeout);
    let opened = std::future::poll_fn(|cx| {
        handle.begin_turn();
        match Pin::new(&mut handshake).poll(cx) {
            Poll::Ready(Ok(h2)) => Poll::Ready(Ok(h2)),
            Poll::Ready(Err(error)) => {
                Poll::Ready(Err(error.get_io().map_or(Reason::H2Protocol, reason_of_io)))
            }
            Poll::Pending => {
                let over = handle.ended().or_else(|| connection.struck(cx, due, Reason::H2PrefaceTimeout));
                over.map_or(Poll::Pending, |reason| Poll::Ready(Err(reason)))
            }
        }
    })
    .await;
    drop(handshake);
    match opened {
        Ok(h2) => {
            // Boxed: the task of an idle connection must stay lean.
            let mut driver = Box::new(Driver::new(h2, handle, watch, connection, since));
            std::future::poll_fn(|cx| driver.poll(connection, cx)).await
        }
        // Half of a preface is no message: nothing was cut.
        Err(Reason::TlsShutdown) => (End::Close, Reason::PeerClosed),
        Err(reason) => (End::Close, reason),
    }
}

struct Driver<'h, T: Transport> {
    h2: h2::server::Connection<Observer<Line<T>>, Bytes>,
    line: &'h LineHandle<T>,
    side: Side,
    streams: Streams,
    lingering: Lingering,
    phases: Phases,
    /// No stream's limit strikes before; a stream that moved its own later leaves it where it was.
    streams_due: Moment,
    /// Streams that wait for a window or the socket.
    unfinished: Vec<u32>,
    /// Streams of which content arrived that h2 may not have digested, because it could not write.
    undigested: Vec<u32>,
    /// Octets that the socket had taken at the last look, and those of content among what h2 had written.
    carried: u64,
    content: u64,
    /// Memory that the streams hold.
    held: Held,
    /// When an octet moved last, in either direction.
    progressed: Moment,
    fresh: Vec<Fresh>,
    events: Vec<Event>,
    touched: Vec<u32>,
}

impl<'h, T: Transport> Driver<'h, T> {
    fn new(
        h2: h2::server::Connection<Observer<Line<T>>, Bytes>,
        line: &'h LineHandle<T>,
        watch: Rc<Watch>,
        connection: &Connection,
        since: Moment,
    ) -> Self {
        let side = Side::new(watch, connection, since);
        Self {
            h2,
            line,
            side,
            streams: Streams::default(),
            lingering: Lingering::default(),
            phases: Phases::new(since),
            streams_due: NEVER,
            unfinished: Vec::new(),
            undigested: Vec::new(),
            carried: connection.meter.sent.get(),
            content: 0,
            held: Held::default(),
            progressed: since,
            fresh: Vec::new(),
            events: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// A panic, which is a bug of ours, goes on when the requests under way are ended: the program and the counts wait for that.
    /// The streams stay, since h2's handles may not be dropped before the panic goes on if it was h2's.
    fn poll(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<(End, Reason)> {
        catch_unwind(AssertUnwindSafe(|| self.take_turns(connection, cx))).unwrap_or_else(|panic| {
            for id in self.streams.ids() {
                if let Some(stream) = self.streams.get(id) {
                    stream.end(Fate::Gone(Reason::Internal), connection, &mut self.side);
                }
            }
            resume_unwind(panic)
        })
    }

    fn take_turns(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<(End, Reason)> {
        connection.info.link.attend(cx.waker());
        for _ in 0..TURNS {
            match self.turn(connection, cx) {
                Turn::Wait => return Poll::Pending,
                Turn::Again => {}
                Turn::Over(end, reason) => return Poll::Ready((end, reason)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn turn(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
        self.side.now = connection.begin_turn();
        self.line.begin_turn();
        self.side.watch.refill(self.side.now / 1000);
        let over = self.accept_all(connection, cx);
        self.note_socket(connection);
        let mut busy = self.take_events(connection);
        if let Some(outcome) = over {
            let reason = self.reason_of_end(outcome, connection);
            self.end_all(reason, connection);
            return Turn::Over(End::Close, reason);
        }
        busy |= self.open_fresh(connection);
        // The time that handlers took inline is theirs, and not the peer's who takes their answers.
        self.side.now = connection.latest();
        busy |= self.serve_touched(connection);
        busy |= self.serve_unfinished(connection);
        self.note_window(connection);
        match self.judge(busy, connection) {
            Some((end, reason)) => {
                self.end_all(reason, connection);
                return Turn::Over(end, reason);
            }
            None => busy |= mem::take(&mut self.phases.moved),
        }
        self.count_glitches(connection);
        self.hold(connection);
        connection.wake_at(self.due(connection), cx);
        if busy { Turn::Again } else { Turn::Wait }
    }

    /// Drives h2 and collects the streams that the peer has opened. `Some`: h2 is done.
    fn accept_all(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Option<Result<(), h2::Error>> {
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.fresh.push(Fresh::new(request, respond, connection, &self.side));
                }
                Poll::Ready(Some(Err(error))) => return Some(Err(error)),
                Poll::Ready(None) => return Some(Ok(())),
                Poll::Pending => return None,
            }
        }
    }

    /// Looks whether the socket takes what h2 writes, and runs the connection's own response clock while it does not.
    fn note_socket(&mut self, connection: &Connection) {
        let side = &mut self.side;
        let carried = connection.meter.sent.get();
        side.blocked = self.line.is_blocked();
        side.congested = side.blocked || side.watch.connection_window_is_empty();
        side.clock.turn(side.congested, side.now);
        let content = side.watch.data_taken();
        // Behind a window what counts is content: of an octet that a peer lets through, twenty times as much is records and frames.
        let moved = if side.blocked { carried - self.carried } else { content - self.content };
        self.content = content;
        if side.congested && moved > 0 {
            let limits: PhaseLimits = Limits::of(&connection.settings).answer;
            side.clock.progress(side.now, moved, &limits);
        }
        if carried > self.carried {
            self.progressed = side.now;
        }
        if carried > self.carried || !side.blocked {
            self.phases.socket_moved(side.now);
        }
        self.carried = carried;
    }

    /// Looks whether the peer may send content at all. Where that has changed, other clocks run from here on.
    fn note_window(&mut self, connection: &mut Connection) {
        let held_up = self.side.watch.peer_is_out_of_window();
        if mem::replace(&mut self.side.held_up, held_up) != held_up {
            for id in self.streams.ids() {
                self.serve(id, connection);
            }
        }
    }

    fn take_events(&mut self, connection: &mut Connection) -> bool {
        let mut busy = false;
        let mut events = mem::take(&mut self.events);
        self.side.watch.take_events(&mut events);
        for id in mem::take(&mut self.undigested) {
            // Nothing to hurry for: when the socket takes octets again, that wakes us.
            self.content_arrived(id, connection);
        }
        for event in events.drain(..) {
            match event {
                Event::HeadTaken { end: false, .. } => {}
                Event::HeadTaken { stream, end: true } => {
                    if !self.finish(stream, Fate::Gone(Reason::Complete), connection) {
                        self.refused_by_h2(stream, 431, Reason::HeaderBytes, connection);
                    }
                }
                Event::EndTaken { stream } => {
                    self.finish(stream, Fate::Gone(Reason::Complete), connection);
                }
                Event::ResetReceived { stream, .. } => {
                    if !self.finish(stream, Fate::Gone(Reason::PeerReset), connection)
                        && !self.lingering.remove(stream)
                        && let Ok(at) = self.fresh.binary_search_by_key(&stream, |fresh| fresh.id)
                    {
                        self.fresh[at].reset = true;
                    }
                }
                Event::ResetTaken { stream, code, open } => {
                    if !self.finish(stream, Fate::Gone(Reason::H2Protocol), connection)
                        && !self.lingering.remove(stream)
                        // Else it answers a frame of another kind, such as PRIORITY on itself.
                        && open
                        && code == h2::Reason::PROTOCOL_ERROR
                    {
                        self.refused_by_h2(stream, 0, Reason::HeaderSyntax, connection);
                    }
                }
                Event::ContentArrived { stream } => {
                    self.progressed = self.side.now;
                    busy |= self.content_arrived(stream, connection);
                }
                Event::WindowGranted { stream, octets } => {
                    busy |= self.lingering.window_granted(stream, octets)
                }
            }
        }
        self.events = events;
        busy
    }

    /// Takes content out of h2; `false`: nobody waits for it.
    fn content_arrived(&mut self, id: u32, connection: &mut Connection) -> bool {
        let Some(stream) = self.streams.get(id).filter(|stream| stream.is_receiving()) else {
            if self.lingering.content_arrived(id) {
                self.side.shadows.push(id);
            }
            return false;
        };
        let fate = stream.content_arrived(connection, &mut self.side);
        self.settle(id, fate, connection);
        if self.side.blocked && !self.undigested.contains(&id) {
            self.undigested.push(id);
        }
        true
    }

    /// h2 has refused a head by itself, which shows only in the frames that it sent.
    fn refused_by_h2(&mut self, stream: u32, status: u16, reason: Reason, connection: &mut Connection) {
        if self.side.shadows.contains(stream) {
            return;
        }
        // Its 431 may be followed by a reset.
        self.side.shadows.push(stream);
        connection.limit(reason);
        let mut books = Books::open(connection, stream, self.side.now, self.side.now);
        books.status = status;
        books.close(connection, None, 0, reason);
    }

    fn open_fresh(&mut self, connection: &mut Connection) -> bool {
        if self.fresh.is_empty() {
            return false;
        }
        self.progressed = self.side.now;
        // Before the program sees the first of them: what it may ask about is true then.
        self.streams_open(connection);
        let mut list = mem::take(&mut self.fresh);
        for fresh in list.drain(..) {
            let id = fresh.id;
            let began = self.phases.block_began().unwrap_or(self.side.now);
            if let Some((stream, head, books)) = fresh.open(began, connection, &mut self.side)
                && let Some(stream) = self.streams.insert(id, stream)
            {
                match stream.begin(head, books, connection, &mut self.side) {
                    Some(fate) => self.settle(id, Some(fate), connection),
                    None => self.touched.push(id),
                };
            }
        }
        self.fresh = list;
        true
    }

    fn serve_touched(&mut self, connection: &mut Connection) -> bool {
        let mut touched = mem::take(&mut self.touched);
        connection.info.link.take_touched(&mut touched);
        let busy = !touched.is_empty();
        for id in touched.drain(..) {
            self.serve(id, connection);
        }
        self.touched = touched;
        busy
    }

    /// Lets streams go on that waited for a window or the socket.
    fn serve_unfinished(&mut self, connection: &mut Connection) -> bool {
        let mut moved = false;
        for id in mem::take(&mut self.unfinished) {
            let Some(stream) = self.streams.get(id) else { continue };
            stream.listed = false;
            let before = stream.sent();
            let fate = stream.step(connection, &mut self.side);
            moved |= fate.is_some() || stream.sent() != before || !stream.is_unfinished();
            self.settle(id, fate, connection);
        }
        moved
    }

    fn serve(&mut self, id: u32, connection: &mut Connection) {
        if let Some(stream) = self.streams.get(id) {
            let fate = stream.step(connection, &mut self.side);
            self.settle(id, fate, connection);
        }
    }

    /// After a step of a stream: ends it, or keeps its deadline and its place in the list of unfinished ones.
    fn settle(&mut self, id: u32, fate: Option<Fate>, connection: &mut Connection) {
        if let Some(fate) = fate {
            self.finish(id, fate, connection);
            return;
        }
        let Some(stream) = self.streams.get(id) else { return };
        let held = stream.held();
        let counted = mem::replace(&mut stream.counted, held);
        self.held.charged = self.held.charged + held.charged - counted.charged;
        self.held.other = self.held.other + held.other - counted.other;
        self.streams_due = self.streams_due.min(stream.due());
        if stream.is_unfinished() && !mem::replace(&mut stream.listed, true) {
            self.unfinished.push(id);
        }
    }

    /// Says what the connection holds, and whether its peer lets it wait.
    fn hold(&self, connection: &mut Connection) {
        let block = self.side.watch.header_block().map_or(0, |block| block.octets);
        let backlog = connection.backlog(self.side.blocked);
        connection.holds(Held { charged: self.held.charged + block, other: self.held.other + backlog });
        let waits = !self.unfinished.is_empty() || self.side.awaiting > 0;
        connection.stalls(waits.then_some(self.progressed));
    }

    /// Ends a stream; `false` if there is none.
    fn finish(&mut self, id: u32, fate: Fate, connection: &mut Connection) -> bool {
        let Some(stream) = self.streams.get(id) else { return false };
        stream.end(fate, connection, &mut self.side);
        if fate == Fate::Gone(Reason::H2Protocol) {
            // Its content was malformed: the reset of h2's that is to come is no refused head.
            self.side.shadows.push(id);
        }
        self.held.charged -= stream.counted.charged;
        self.held.other -= stream.counted.other;
        if fate == Fate::Gone(Reason::Complete) && stream.leaves_content() {
            let handles = self.streams.take(id).map(Stream::into_handles);
            if let Some((respond, content)) = handles {
                self.lingering.add(id, respond, content, &connection.settings, self.side.now);
            }
        } else {
            self.streams.remove(id);
        }
        true
    }

    /// Every request that is under way ends with the connection.
    fn end_all(&mut self, reason: Reason, connection: &mut Connection) {
        for id in self.streams.ids() {
            self.finish(id, Fate::Gone(reason), connection);
        }
        self.lingering.clear();
        self.count_glitches(connection);
    }

    /// An idle connection keeps no list that a burst has grown.
    fn slim(&mut self) {
        self.streams.slim();
        self.fresh.shrink_to(KEPT);
        self.events.shrink_to(KEPT);
        self.touched.shrink_to(KEPT);
        self.unfinished = Vec::new();
        self.undigested = Vec::new();
    }
}
