//! The completion queue: events cross from the reactors to the program in batches, with a descriptor that is readable while
//! events wait. Workers, the C queue and Python all derive from it. What an event means is not known here.
//!
//! The descriptor is an eventfd, written when the queue turns non-empty and read empty when it is drained, so level-triggered
//! polling works at once and a burst costs one write. The write comes behind the lock, and so perhaps behind the drain that it
//! called for: who finds nothing reads it too.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::time::Instant;

use crate::admission::Load;
use crate::batch;
use crate::event::Event;
use crate::exchange::NOWHERE;
use crate::link::lock;
use crate::request::Request;

/// Most undelivered observation events (connection, request end, log) of one queue; what comes on top is lost and counted.
const MAX_OBSERVATIONS: usize = 16 * 1024;

/// What [`Queue::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At least one event.
    Events,
    /// None: the time is over, or somebody called [`Queue::wake`].
    Again,
    /// The queue is closed and drained.
    Closed,
}

/// Consumers to wake, and whether the descriptor is to become readable.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
struct Signal {
    rouse: usize,
    write: bool,
}

/// A bounded stream of events from one server to the program. Any thread may push or take.
#[derive(Debug)]
pub struct Queue {
    events: Mutex<Events>,
    /// For consumers that need no descriptor: one of them per event, not all of them per burst.
    parked: Condvar,
    signal: OwnedFd,
    woken: AtomicBool,
    wakeups: AtomicU64,
    requests_only: bool,
}

#[derive(Debug, Default)]
struct Events {
    /// May have to wait for a running slot.
    requests: VecDeque<Request>,
    /// What happened to one of these before anybody took it, by the address of its exchange: it is told behind its request. Looked
    /// up, not searched: peers may reset a million requests that wait.
    early: HashMap<usize, Vec<Event>>,
    /// All other events: never held up by requests that wait.
    others: VecDeque<Event>,
    observations: usize,
    lost: u64,
    /// Of these, how many a log record has told of.
    told_lost: u64,
    /// Whose limits bound the requests; set when a server takes the queue.
    load: Option<Arc<Load>>,
    /// Consumers that wait on `parked`.
    sleepers: usize,
    /// One of them was woken and has not looked yet: it will wake another if there is need.
    rousing: bool,
    /// Somebody waits through the descriptor, or may.
    polled: bool,
    /// The descriptor is readable.
    signalled: bool,
    /// `Shutdown` was pushed: the end comes when the queue is empty.
    closing: bool,
    closed: bool,
}

impl Queue {
    /// An open queue without a server.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Self::open(false)
    }

    /// As [`Queue::new`], for requests alone: what becomes of each is heard through hooks of its own, as with workers, and costs
    /// nobody a wake-up who has not asked.
    pub fn for_requests() -> std::io::Result<Arc<Self>> {
        Self::open(true)
    }

    fn open(requests_only: bool) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            events: Mutex::default(),
            parked: Condvar::new(),
            signal: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            woken: AtomicBool::new(false),
            wakeups: AtomicU64::new(0),
            requests_only,
        }))
    }

    /// Whether the events of a request come here too.
    pub(crate) fn carries_events(&self) -> bool {
        !self.requests_only
    }

    /// Readable while events wait: poll it, never read or close it.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        let mut events = lock(&self.events);
        let mut signal = Signal::default();
        if !events.polled {
            events.polled = true;
            if !(events.requests.is_empty() && events.others.is_empty()) {
                signal = self.signal(&mut events);
            }
        }
        drop(events);
        self.carry_out(signal);
        self.signal.as_fd()
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        let events = lock(&self.events);
        let early: usize = events.early.values().map(Vec::len).sum();
        events.requests.len() + early + events.others.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often the descriptor was made readable.
    pub fn wakeups(&self) -> u64 {
        self.wakeups.load(Ordering::Relaxed)
    }

    /// Ties the queue to the server that fills it; `false` if it has one already.
    pub(crate) fn attach(self: &Arc<Self>, load: Arc<Load>) -> bool {
        let mut events = lock(&self.events);
        if events.load.is_some() {
            return false;
        }
        load.feed(self);
        events.load = Some(load);
        true
    }

    /// The server that took the queue did not start after all.
    pub(crate) fn detach(&self) {
        lock(&self.events).load = None;
    }

    /// A running slot is free again: requests that waited for one may be taken.
    pub(crate) fn resume(&self) {
        let mut events = lock(&self.events);
        // Also what came to light with a request that was taken before this could be said.
        if !(events.requests.is_empty() && events.others.is_empty()) {
            // There may be more slots than this one, and whoever was woken before may have found none.
            events.rousing = false;
            let mut signal = self.signal(&mut events);
            // One more than there are slots: who takes one of them looks for no other, and who finds none asks to be told of the next.
            let slots = events.load.as_ref().map_or(0, |load| load.free());
            let waiting = events.requests.len() + events.others.len();
            signal.rouse = signal.rouse.max(events.sleepers.min(waiting).min(slots + 1));
            drop(events);
            self.carry_out(signal);
        }
    }

    /// Consumers that a burst left asleep are woken, if it is still there: those awake are not as quick as they were.
    pub(crate) fn rouse(&self) {
        let events = lock(&self.events);
        let rouse = events.sleepers.min(events.requests.len() + events.others.len());
        drop(events);
        self.carry_out(Signal { rouse, write: false });
    }

    /// Appends one event.
    pub fn push(&self, event: Event) {
        match event {
            Event::Request(request) => self.append(std::iter::once(request), std::iter::empty()),
            event => self.append(std::iter::empty(), std::iter::once(event)),
        };
    }

    /// Appends requests, and then what else there is to tell, under one lock and signals at most once. `true`: consumers sleep on
    /// that may be needed for it, unless those awake are quick ([`Queue::rouse`]).
    pub(crate) fn append(
        &self,
        requests: impl Iterator<Item = Request>,
        others: impl Iterator<Item = Event>,
    ) -> bool {
        let (mut refused, mut untold) = (Vec::new(), Vec::new());
        let mut events = lock(&self.events);
        if events.closed || events.closing {
            for request in requests {
                // The program never hears of it.
                request.exchange().queue.store(NOWHERE, Ordering::Relaxed);
                refused.push(request);
            }
        } else {
            events.requests.extend(requests);
        }
        for mut event in others {
            if events.closed {
                untold.push(event);
                continue;
            }
            if let Some(exchange) = event.exchange().filter(|exchange| !exchange.is_delivered()) {
                let refused = exchange.queue.load(Ordering::Relaxed) == NOWHERE;
                let request = Arc::as_ptr(exchange).addr();
                if refused { &mut untold } else { events.early.entry(request).or_default() }.push(event);
                continue;
            }
            match &mut event {
                Event::Connection(_) | Event::RequestEnd(_) | Event::Log(..)
                    if events.observations >= MAX_OBSERVATIONS =>
                {
                    events.lost += 1;
                    continue;
                }
                Event::Connection(_) | Event::RequestEnd(_) => {
                    events.observations += 1;
                }
                Event::Log(_, lost) => {
                    events.observations += 1;
                    *lost = events.lost - events.told_lost;
                    events.told_lost = events.lost;
                }
                Event::Shutdown => events.closing = true,
                // Requests are not among them.
                Event::Request(_)
                | Event::Ready(..)
                | Event::Cancelled(..)
                | Event::Done(_)
                | Event::Drop(_) => {}
            }
            events.tell(event);
        }
        let waiting = events.requests.len() + events.others.len();
        let roused = events.rousing;
        let signal = if waiting > 0 { self.signal(&mut events) } else { Signal::default() };
        let more = events.sleepers > 0 && (waiting > 1 || roused);
        drop(events);
        self.carry_out(signal);
        // Outside the lock: a refused request answers 503 as it is dropped.
        drop(untold);
        refused.into_iter().for_each(refuse);
        more
    }

    /// What comes of new events, to be carried out without the lock: on one core, who is woken under it runs at once, meets it, and
    /// sleeps again.
    fn signal(&self, events: &mut Events) -> Signal {
        let ending = events.closed || events.closing;
        let rouse = match events.sleepers {
            0 => 0,
            sleepers if ending => sleepers,
            // One of them: it wakes the next if it is needed. All at once take turns on one core for what one does alone.
            _ => usize::from(!events.rousing),
        };
        events.rousing |= rouse > 0;
        let write = events.polled && !events.signalled;
        events.signalled |= write;
        Signal { rouse, write }
    }

    fn carry_out(&self, signal: Signal) {
        let Signal { rouse, write } = signal;
        if rouse > 0 {
            self.wakeups.fetch_add(1, Ordering::Relaxed);
            (0..rouse).for_each(|_| self.parked.notify_one());
        }
        if write {
            self.wakeups.fetch_add(1, Ordering::Relaxed);
            let _ = rustix::io::write(&self.signal, &1u64.to_ne_bytes());
        }
    }

    /// Takes up to `max` events, waiting as long as `patience` says (`None` = for ever).
    pub fn next(&self, into: &mut Vec<Event>, max: usize, patience: Option<Duration>) -> Next {
        let until = patience.map(|patience| Instant::now() + patience);
        // The descriptor must be live before the first look: what comes after it signals.
        let _ = self.descriptor();
        loop {
            match self.take(into, max) {
                Next::Again => batch::settle(),
                found => {
                    batch::begin(into.len());
                    return found;
                }
            }
            if self.woken.swap(false, Ordering::AcqRel) {
                self.clear_if_empty();
                return Next::Again;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::Again;
            }
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            // An interrupted wait looks again: a signal handler may have called `wake`.
            let _ = poll(&mut [PollFd::new(&self.signal, PollFlags::IN)], timeout.as_ref());
        }
    }

    /// As [`Queue::next`], for ever, one event and without the descriptor: for a pool in which one consumer per event is to wake.
    /// `slow`: it will be a while until the caller is back, so what waits needs another of the pool.
    pub fn next_parked(&self, into: &mut Vec<Event>, slow: bool) -> Next {
        self.next_of_pool(into, slow).0
    }

    /// As [`Queue::next_parked`], and whether others may have had the core meanwhile.
    pub(crate) fn next_of_pool(&self, into: &mut Vec<Event>, slow: bool) -> (Next, bool) {
        let mut paused = false;
        let mut events = lock(&self.events);
        loop {
            match self.take_locked(&mut events, into, 1) {
                Next::Again => {}
                found => {
                    let more = !(events.requests.is_empty() && events.others.is_empty());
                    let signal = if more && slow { self.signal(&mut events) } else { Signal::default() };
                    drop(events);
                    self.carry_out(signal);
                    batch::begin(if more && !slow { batch::MORE_WAIT } else { 1 });
                    return (found, paused);
                }
            }
            paused = true;
            if batch::is_owed() {
                drop(events);
                batch::settle();
                events = lock(&self.events);
                continue;
            }
            events.sleepers += 1;
            events = self.parked.wait(events).unwrap_or_else(PoisonError::into_inner);
            events.sleepers -= 1;
            events.rousing = false;
        }
    }

    /// As [`Queue::next`], without waiting and without the descriptor: for who has just been busy and looks for more.
    pub fn try_next(&self, into: &mut Vec<Event>, max: usize) -> Next {
        batch::settle();
        self.take(into, max)
    }

    fn take(&self, into: &mut Vec<Event>, max: usize) -> Next {
        self.take_locked(&mut lock(&self.events), into, max)
    }

    fn take_locked(&self, events: &mut Events, into: &mut Vec<Event>, max: usize) -> Next {
        if events.closed {
            return Next::Closed;
        }
        let before = into.len();
        let most = before.saturating_add(max);
        while into.len() < most
            && let Some(event) = events.others.pop_front_if(|event| !matches!(event, Event::Shutdown))
        {
            if let Event::Connection(_) | Event::RequestEnd(_) | Event::Log(..) = &event {
                events.observations -= 1;
            }
            into.push(event);
        }
        while into.len() < most && events.take_request(into, most) {}
        // Behind all requests comes the end.
        if into.len() < most
            && events.requests.is_empty()
            && let Some(end) = events.others.pop_front()
        {
            // The descriptor stays readable: every consumer finds it.
            events.closed = true;
            let signal = self.signal(events);
            self.carry_out(signal);
            into.push(end);
            return Next::Events;
        }
        // Requests that wait for a running slot do not keep the descriptor readable: `resume` signals again.
        let none = into.len() == before;
        let drained = events.others.is_empty() && (events.requests.is_empty() || into.len() < most);
        if drained && (events.signalled || none) {
            self.clear(events);
        }
        if none { Next::Again } else { Next::Events }
    }

    /// Nothing may be taken now, so a write that is still on its way is for nothing.
    fn clear(&self, events: &mut Events) {
        if events.polled && !self.woken.load(Ordering::Acquire) {
            events.signalled = false;
            let _ = rustix::io::read(&self.signal, &mut [0u8; 8]);
        }
    }

    fn clear_if_empty(&self) {
        let mut events = lock(&self.events);
        if events.others.is_empty() && events.requests.is_empty() && !events.closed {
            self.clear(&mut events);
        }
    }

    /// Lets one `next` return [`Next::Again`]; remembered until then. Async-signal-safe: an atomic store and one write.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.signal, &1u64.to_ne_bytes());
    }

    /// Observation events that were lost for want of room.
    pub fn lost(&self) -> u64 {
        lock(&self.events).lost
    }

    /// Closes the queue without its consumer: what waits is dropped, requests get 503.
    pub fn abandon(&self) {
        let mut events = lock(&self.events);
        events.closed = true;
        let waiting = std::mem::take(&mut events.requests);
        let untold = (std::mem::take(&mut events.early), std::mem::take(&mut events.others));
        let signal = self.signal(&mut events);
        drop(events);
        self.carry_out(signal);
        drop(untold);
        waiting.into_iter().for_each(refuse);
    }
}

impl Events {
    /// Appends what is no request. Behind the last event nobody would look for it.
    fn tell(&mut self, event: Event) {
        let last = self.others.pop_back_if(|last| matches!(last, Event::Shutdown));
        self.others.push_back(event);
        self.others.extend(last);
    }

    /// Moves a request and what has happened to it; `false` when none may go now. What `most` has no room for is told next, before
    /// anything later about the request.
    fn take_request(&mut self, into: &mut Vec<Event>, most: usize) -> bool {
        let Some(request) = self.requests.pop_front_if(Request::start) else { return false };
        request.exchange().mark_delivered();
        let early = match self.early.len() {
            0 => None,
            _ => self.early.remove(&Arc::as_ptr(request.exchange()).addr()),
        };
        into.push(Event::Request(request));
        for event in early.into_iter().flatten() {
            if into.len() < most { into.push(event) } else { self.tell(event) }
        }
        true
    }
}

fn refuse(request: Request) {
    request.fail(crate::exchange::Failure::Refused);
}

#[cfg(test)]
mod tests;
