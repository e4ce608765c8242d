//! Who gets in: connection slots, pending handshakes, running and queued handlers. Every slot is a value that frees itself.
//! Accepting and closing sockets is `listener.rs`; what a refused peer sees is decided by the phase that meets the refusal.
//!
//! Running callbacks are counted, not open streams: a C or Python callback cannot be cancelled, so a reset must not free its
//! slot, or Rapid Reset (CVE-2023-44487) passes every limit.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;

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

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(crate) fn feed(&self, queue: &Arc<Queue>) {
        lock(&self.queues).push(Arc::downgrade(queue));
    }

    /// A slot for a request that runs at once; `None` at the cap.
    pub(crate) fn run(&self, link: &Link) -> Option<SlotState> {
        link.running.fetch_add(1, Ordering::Relaxed);
        if below(&self.running, self.max_running) {
            return Some(SlotState::Running);
        }
        link.running.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// A slot for a request that waits to be taken; `None` at either cap.
    pub(crate) fn queue(&self, link: &Link) -> Option<SlotState> {
        link.running.fetch_add(1, Ordering::Relaxed);
        if self.running() < self.max_running && below(&self.queued, self.max_queued) {
            return Some(SlotState::Queued);
        }
        link.running.fetch_sub(1, Ordering::Relaxed);
        None
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

/// All open connections of a server.
pub(crate) struct Registry {
    /// As many as `open` holds, readable without its lock.
    count: AtomicUsize,
    open: Mutex<HashMap<u64, Arc<Link>>>,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    left: Notify,
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            open: Mutex::default(),
            per_ip: Mutex::default(),
            left: Notify::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Takes a connection in; it leaves when the slot is dropped.
    pub(crate) fn enter(self: &Arc<Self>, id: u64, link: Arc<Link>) -> ConnectionSlot {
        lock(&self.open).insert(id, link);
        self.count.fetch_add(1, Ordering::AcqRel);
        ConnectionSlot { registry: self.clone(), id, address: None }
    }

    /// Somebody has left since the last one who waited for it.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// Gives every open connection an order.
    pub(crate) fn order_all(&self, order: Order) {
        let links: Vec<_> = lock(&self.open).values().cloned().collect();
        for link in links {
            link.order(order);
        }
    }

    /// Tells the longest-idle connection to close for a newcomer; `false` if none is idle.
    pub(crate) fn evict_longest_idle(&self, reason: Reason) -> bool {
        let open = lock(&self.open);
        let longest = open
            .values()
            .filter(|link| {
                link.idle_since.load(Ordering::Relaxed) != 0 && link.current_order() == Order::Serve
            })
            .min_by_key(|link| link.idle_since.load(Ordering::Relaxed));
        match longest {
            Some(link) => {
                link.order(Order::Close(reason));
                true
            }
            None => false,
        }
    }
}

/// The place of one open connection.
pub(crate) struct ConnectionSlot {
    registry: Arc<Registry>,
    id: u64,
    address: Option<IpAddr>,
}

impl ConnectionSlot {
    /// Counts the peer's address against `max_connections_per_ip`; `false` at the cap. IPv6 counts by /64, which is what one
    /// customer is given.
    pub(crate) fn count_address(&mut self, address: IpAddr, cap: usize) -> bool {
        let address = match address {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
            },
            v4 => v4,
        };
        let mut per_ip = lock(&self.registry.per_ip);
        let count = per_ip.entry(address).or_default();
        if *count >= cap {
            return false;
        }
        *count += 1;
        self.address = Some(address);
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.registry.open).remove(&self.id);
        self.registry.count.fetch_sub(1, Ordering::AcqRel);
        self.registry.left.notify_one();
        if let Some(address) = self.address {
            let mut per_ip = lock(&self.registry.per_ip);
            if let Some(count) = per_ip.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    per_ip.remove(&address);
                }
            }
        }
    }
}

/// The handshakes of one listener that are not finished, oldest first (`max_pending_handshakes`).
pub(crate) struct Pending {
    cap: usize,
    state: Mutex<PendingState>,
}

#[derive(Default)]
struct PendingState {
    next: u64,
    /// Without a complete ClientHello: nothing was computed for them yet.
    hello: BTreeMap<u64, Arc<Link>>,
    handshake: BTreeMap<u64, Arc<Link>>,
}

impl Pending {
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { cap, state: Mutex::default() })
    }

    /// Takes a newcomer in; at the cap the oldest without a ClientHello goes, else the oldest in handshake, so that honest
    /// newcomers keep getting in.
    pub(crate) fn enter(self: &Arc<Self>, link: Arc<Link>) -> PendingSlot {
        let mut state = lock(&self.state);
        if state.hello.len() + state.handshake.len() >= self.cap {
            let oldest = state.hello.pop_first().or_else(|| state.handshake.pop_first());
            if let Some((_, oldest)) = oldest {
                oldest.order(Order::Close(Reason::TlsPendingLimit));
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
        assert!(load.run(&link).is_none());
        assert_eq!(link.running.load(Ordering::Relaxed), 2);
        load.leave(first, &link);
        assert!(load.run(&link).is_some());
    }

    #[test]
    fn queued_requests_have_a_cap_of_their_own() {
        let load = Load::new(10, 1);
        let link = link();
        let mut waiting = load.queue(&link).unwrap();
        assert!(load.queue(&link).is_none());
        assert!(load.start(&mut waiting));
        assert_eq!((load.running(), load.queued()), (1, 0));
        assert!(load.queue(&link).is_some());
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
        assert_eq!(silent.current_order(), Order::Close(Reason::TlsPendingLimit));
        assert_eq!(shaking.current_order(), Order::Serve);
        let _another = pending.enter(link());
        assert_eq!(newcomer.current_order(), Order::Close(Reason::TlsPendingLimit));
        let state = lock(&pending.state);
        assert_eq!(state.hello.len() + state.handshake.len(), 2);
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let registry = Registry::new();
        let links = [link(), link(), link()];
        let _slots: Vec<_> =
            links.iter().enumerate().map(|(id, link)| registry.enter(id as u64, link.clone())).collect();
        links[0].idle_since.store(7, Ordering::Relaxed);
        links[2].idle_since.store(3, Ordering::Relaxed);
        assert!(registry.evict_longest_idle(Reason::AcceptLimit));
        assert_eq!(links[2].current_order(), Order::Close(Reason::AcceptLimit));
        assert!(registry.evict_longest_idle(Reason::AcceptLimit));
        assert_eq!(links[0].current_order(), Order::Close(Reason::AcceptLimit));
        assert!(!registry.evict_longest_idle(Reason::AcceptLimit));
    }

    #[test]
    fn addresses_count_by_their_prefix() {
        let registry = Registry::new();
        let mut first = registry.enter(1, link());
        let mut second = registry.enter(2, link());
        assert!(first.count_address("2001:db8::1".parse().unwrap(), 1));
        assert!(!second.count_address("2001:db8::2".parse().unwrap(), 1));
        drop(first);
        assert!(second.count_address("2001:db8::2".parse().unwrap(), 1));
    }
}
