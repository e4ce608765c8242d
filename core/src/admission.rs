//! Who gets in: pending handshakes, running and queued handlers. Every slot is a value that frees itself. Open connections are
//! `registry.rs`; what a refused peer sees is decided by the phase that meets the refusal.
//!
//! Running callbacks are counted, not open streams: a C or Python callback cannot be cancelled, so a reset must not free its
//! slot, or Rapid Reset (CVE-2023-44487) passes every limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use crate::link::{Link, Order, lock};
use crate::queue::Queue;
use crate::reason::Reason;

/// Handlers of one server: how many run and how many wait.
#[derive(Debug, Default)]
pub(crate) struct Load {
    max_running: usize,
    max_queued: usize,
    running: AtomicUsize,
    queued: AtomicUsize,
    /// Memory is short: nobody new runs (`max_total_memory_bytes`).
    short: AtomicBool,
    /// Octets of requests that are over and that the program keeps.
    retained: AtomicU64,
    /// A queue holds requests for want of a running slot.
    starved: AtomicBool,
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Load {
    pub(crate) fn new(max_running: usize, max_queued: usize) -> Arc<Self> {
        Arc::new(Self { max_running, max_queued, ..Self::default() })
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Slots for handlers that may begin now.
    pub(crate) fn free(&self) -> usize {
        self.max_running.saturating_sub(self.running())
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Refuses new requests, or takes them again.
    pub(crate) fn refuse(&self, short: bool) {
        self.short.store(short, Ordering::Relaxed);
    }

    /// A request is over on the wire, and the program keeps so much of it.
    pub(crate) fn retain(&self, octets: u64) {
        self.retained.fetch_add(octets, Ordering::Relaxed);
    }

    /// The program has let go of it.
    pub(crate) fn forget(&self, octets: u64) {
        self.retained.fetch_sub(octets, Ordering::Relaxed);
    }

    pub(crate) fn retained(&self) -> u64 {
        self.retained.load(Ordering::Relaxed)
    }

    pub(crate) fn feed(&self, queue: &Arc<Queue>) {
        lock(&self.queues).push(Arc::downgrade(queue));
    }

    /// Holds up who gives a slot back, between that and its word to the queues.
    #[cfg(test)]
    pub(crate) fn hold_up(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Queue>>> {
        lock(&self.queues)
    }

    /// A slot for a request that runs at once, or why there is none.
    pub(crate) fn run(&self, link: &Link) -> Result<SlotState, Reason> {
        self.admit(link, SlotState::Running, || below(&self.running, self.max_running))
    }

    /// A slot for a request that waits to be taken, or why there is none: either cap.
    pub(crate) fn queue(&self, link: &Link) -> Result<SlotState, Reason> {
        self.admit(link, SlotState::Queued, || {
            self.running() < self.max_running && below(&self.queued, self.max_queued)
        })
    }

    fn admit(
        &self,
        link: &Link,
        slot: SlotState,
        has_room: impl FnOnce() -> bool,
    ) -> Result<SlotState, Reason> {
        if self.short.load(Ordering::Relaxed) {
            return Err(Reason::Memory);
        }
        link.running.fetch_add(1, Ordering::Relaxed);
        if has_room() {
            return Ok(slot);
        }
        link.running.fetch_sub(1, Ordering::Relaxed);
        Err(Reason::HandlerCapacity)
    }

    /// From waiting to running; `false` at the cap, and then [`Queue::resume`] will be called.
    pub(crate) fn start(&self, state: &mut SlotState) -> bool {
        if *state == SlotState::Running {
            return true;
        }
        let mut begun = below(&self.running, self.max_running);
        if !begun {
            self.starved.swap(true, Ordering::SeqCst);
            // A slot may have come free between the two: without a second look its `resume` would be missed.
            begun = below(&self.running, self.max_running);
        }
        if begun {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            *state = SlotState::Running;
        }
        begun
    }

    /// Gives a slot back; called once, by whoever held it.
    pub(crate) fn leave(&self, state: SlotState, link: &Link) {
        link.running.fetch_sub(1, Ordering::Relaxed);
        match state {
            SlotState::Queued => {
                self.queued.fetch_sub(1, Ordering::AcqRel);
            }
            SlotState::Running => self.release(),
        }
    }

    fn release(&self) {
        // Sequentially consistent with `start`: one of the two sees what the other did.
        self.running.fetch_sub(1, Ordering::SeqCst);
        if self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst) {
            for queue in lock(&self.queues).iter().filter_map(Weak::upgrade) {
                queue.resume();
            }
        }
    }
}

/// Adds one unless `cap` is met.
fn below(count: &AtomicUsize, cap: usize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < cap).then_some(now + 1)).is_ok()
}

/// The place of one request among the handlers: [`Request`](crate::request::Request) holds it, and gives it back as it is dropped,
/// never before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Queued,
    Running,
}

/// The handshakes of one listener that are not finished, oldest first (`max_pending_handshakes`).
pub(crate) struct Pending {
    cap: usize,
    state: Mutex<PendingState>,
}

/// Handshakes that may give way to newcomers each second while the reactor is busy. A peer that comes back as often as it is
/// closed costs some 40 us of CPU each time: unbounded that is a whole core, with this a fiftieth. The rest of a flood waits in the
/// kernel's queue, and so do honest newcomers among it: while there is time to spare, nobody waits.
const GIVE_WAY: f64 = 500.0;
/// How many of them can be saved up: those of a second.
const GIVE_WAY_SAVED: f64 = GIVE_WAY;

struct PendingState {
    next: u64,
    /// How many may still give way now.
    credit: f64,
    refilled: Instant,
    /// Without a complete ClientHello: nothing was computed for them yet.
    hello: BTreeMap<u64, Arc<Link>>,
    handshake: BTreeMap<u64, Arc<Link>>,
}

impl Pending {
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        let state = PendingState {
            next: 0,
            credit: GIVE_WAY_SAVED,
            refilled: Instant::now(),
            hello: BTreeMap::new(),
            handshake: BTreeMap::new(),
        };
        Arc::new(Self { cap, state: Mutex::new(state) })
    }

    /// How many newcomers may be accepted now: those for whom there is room, and those to whom others may give way; with time to
    /// spare, whoever comes.
    pub(crate) fn newcomers(&self, now: Instant, spare: bool) -> usize {
        let mut state = lock(&self.state);
        let earned = GIVE_WAY * now.saturating_duration_since(state.refilled).as_secs_f64();
        state.credit = (state.credit + earned).min(GIVE_WAY_SAVED);
        state.refilled = now;
        if spare {
            return usize::MAX;
        }
        self.cap.saturating_sub(state.hello.len() + state.handshake.len()) + state.credit.max(0.0) as usize
    }

    /// Takes a newcomer in; at the cap the oldest without a ClientHello goes, else the oldest in handshake, so that honest
    /// newcomers keep getting in.
    pub(crate) fn enter(self: &Arc<Self>, link: Arc<Link>) -> PendingSlot {
        let mut state = lock(&self.state);
        if state.hello.len() + state.handshake.len() >= self.cap {
            let oldest = state.hello.pop_first().or_else(|| state.handshake.pop_first());
            if let Some((_, oldest)) = oldest {
                oldest.order(Order::MakeRoom(Reason::TlsPendingLimit));
                // Who came while there was time to spare is not made up for later.
                state.credit = (state.credit - 1.0).max(0.0);
            }
        }
        let key = state.next;
        state.next += 1;
        state.hello.insert(key, link);
        PendingSlot { pending: self.clone(), key }
    }
}

/// The place of one unfinished handshake.
pub(crate) struct PendingSlot {
    pending: Arc<Pending>,
    key: u64,
}

impl PendingSlot {
    /// The ClientHello is complete.
    pub(crate) fn hello_complete(&self) {
        let mut state = lock(&self.pending.state);
        if let Some(link) = state.hello.remove(&self.key) {
            state.handshake.insert(self.key, link);
        }
    }
}

impl Drop for PendingSlot {
    fn drop(&mut self) {
        let mut state = lock(&self.pending.state);
        state.hello.remove(&self.key);
        state.handshake.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::link::Inbox;

    fn link() -> Arc<Link> {
        Link::new(Inbox::new(Arc::default()))
    }

    #[test]
    fn a_running_slot_is_refused_at_the_cap_and_comes_back() {
        let load = Load::new(2, 0);
        let link = link();
        let first = load.run(&link).unwrap();
        let _second = load.run(&link).unwrap();
        assert_eq!(load.run(&link), Err(Reason::HandlerCapacity));
        assert_eq!(link.running.load(Ordering::Relaxed), 2);
        load.leave(first, &link);
        assert!(load.run(&link).is_ok());
    }

    #[test]
    fn nobody_new_runs_while_memory_is_short() {
        let load = Load::new(2, 2);
        let link = link();
        load.refuse(true);
        assert_eq!(load.run(&link), Err(Reason::Memory));
        assert_eq!(load.queue(&link), Err(Reason::Memory));
        assert_eq!(link.running.load(Ordering::Relaxed), 0);
        load.refuse(false);
        assert!(load.run(&link).is_ok());
    }

    #[test]
    fn queued_requests_have_a_cap_of_their_own() {
        let load = Load::new(10, 1);
        let link = link();
        let mut waiting = load.queue(&link).unwrap();
        assert_eq!(load.queue(&link), Err(Reason::HandlerCapacity));
        assert!(load.start(&mut waiting));
        assert_eq!((load.running(), load.queued()), (1, 0));
        assert!(load.queue(&link).is_ok());
    }

    #[test]
    fn only_so_many_give_way_in_a_second_without_time_to_spare() {
        let pending = Pending::new(2);
        let began = Instant::now();
        assert_eq!(pending.newcomers(began, false), 2 + 500);
        let _slots: Vec<_> = (0..502).map(|_| pending.enter(link())).collect();
        assert_eq!(pending.newcomers(began, false), 0);
        assert_eq!(pending.newcomers(began, true), usize::MAX);
        let _more: Vec<_> = (0..1000).map(|_| pending.enter(link())).collect();
        assert_eq!(pending.newcomers(began + Duration::from_millis(100), false), 50);
        assert_eq!(pending.newcomers(began + Duration::from_secs(9), false), 500);
    }

    #[test]
    fn the_oldest_silent_peer_makes_room_before_any_handshake() {
        let pending = Pending::new(2);
        let (silent, shaking) = (link(), link());
        let _silent = pending.enter(silent.clone());
        let slot = pending.enter(shaking.clone());
        slot.hello_complete();
        let newcomer = link();
        let _newcomer = pending.enter(newcomer.clone());
        assert_eq!(silent.current_order(), Order::MakeRoom(Reason::TlsPendingLimit));
        assert_eq!(shaking.current_order(), Order::Serve);
        let _another = pending.enter(link());
        assert_eq!(newcomer.current_order(), Order::MakeRoom(Reason::TlsPendingLimit));
        let state = lock(&pending.state);
        assert_eq!(state.hello.len() + state.handshake.len(), 2);
    }
}
