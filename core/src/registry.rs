//! All open connections of a server: counted, found by how long they have been idle or stalled, and told to go. Accepting and
//! closing sockets is `listener.rs`; how a connection goes is decided by the phase that it is in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::link::{Link, Order, lock};
use crate::reason::Reason;

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

    /// Asks the longest-idle connection to make room for a newcomer; `false` if none is idle. One that has just begun a request
    /// declines, and is idle no more for who asks next.
    pub(crate) fn evict_longest_idle(&self, reason: Reason) -> bool {
        let open = lock(&self.open);
        let idle = open.values().filter(|link| link.current_order() == Order::Serve && idle_since(link) != 0);
        let longest = idle.min_by_key(|link| idle_since(link));
        if let Some(link) = longest {
            link.order(Order::MakeRoom(reason));
        }
        longest.is_some()
    }

    /// A connection that was asked to make room has something to do: somebody else must.
    pub(crate) fn declined(&self) {
        self.left.notify_one();
    }

    /// Tells connections to go until `excess` octets of memory come free: the longest idle first, then those whose peers have
    /// let them wait for longest. `false`: not enough can be found.
    pub(crate) fn shed(&self, excess: u64) -> bool {
        let (mut idle, mut stalled) = (Vec::new(), Vec::new());
        let mut leaving = 0;
        let open = lock(&self.open);
        for link in open.values() {
            let held = link.held.load(Ordering::Relaxed);
            match link.current_order() {
                Order::MakeRoom(_) | Order::Close(_) => leaving += held,
                Order::Serve | Order::Drain => {
                    let stalled_since = link.stalled_since.load(Ordering::Relaxed);
                    if idle_since(link) != 0 {
                        idle.push((idle_since(link), held, link));
                    } else if stalled_since != 0 {
                        stalled.push((stalled_since, held, link));
                    }
                }
            }
        }
        for (list, order) in
            [(&mut idle, Order::MakeRoom(Reason::Memory)), (&mut stalled, Order::Close(Reason::Memory))]
        {
            list.sort_unstable_by_key(|(since, ..)| *since);
            for (_, held, link) in list.iter() {
                if leaving >= excess {
                    return true;
                }
                link.order(order);
                leaving += held;
            }
        }
        leaving >= excess
    }
}

fn idle_since(link: &Link) -> u64 {
    link.idle_since.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Inbox;

    fn link() -> Arc<Link> {
        Link::new(Inbox::new(Arc::default()))
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
        assert_eq!(links[2].current_order(), Order::MakeRoom(Reason::AcceptLimit));
        assert!(registry.evict_longest_idle(Reason::AcceptLimit));
        assert_eq!(links[0].current_order(), Order::MakeRoom(Reason::AcceptLimit));
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

    #[test]
    fn memory_is_asked_of_the_longest_idle_then_of_the_stalled_and_of_no_more_than_needed() {
        let registry = Registry::new();
        let links: Vec<_> = (0..6).map(|_| link()).collect();
        let _slots: Vec<_> =
            links.iter().enumerate().map(|(id, link)| registry.enter(id as u64, link.clone())).collect();
        // One busy, two idle, three stalled; each holds ten octets.
        for (link, idle, stalled) in [(0, 0, 0), (1, 7, 0), (2, 3, 0), (3, 0, 9), (4, 0, 1), (5, 0, 5)]
            .map(|(at, i, s)| (&links[at], i, s))
        {
            link.held.store(10, Ordering::Relaxed);
            link.idle_since.store(idle, Ordering::Relaxed);
            link.stalled_since.store(stalled, Ordering::Relaxed);
        }
        let told = || links.iter().map(|link| link.current_order()).collect::<Vec<_>>();
        let (idle, stalled) = (Order::MakeRoom(Reason::Memory), Order::Close(Reason::Memory));
        let mut expected = vec![Order::Serve; 6];
        for (excess, at, order) in [(10, 2, idle), (20, 1, idle), (21, 4, stalled), (40, 5, stalled)] {
            assert!(registry.shed(excess));
            expected[at] = order;
            assert_eq!(told(), expected, "what is leaving already counts");
        }
        assert!(!registry.shed(51), "the busy one is nobody's to close");
        expected[3] = stalled;
        assert_eq!(told(), expected);
    }
}
