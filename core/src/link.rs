//! The way back to a reactor from any thread: one inbox per reactor, one link per connection. Nothing here knows HTTP.
//!
//! Only the first entry into an empty inbox wakes the reactor, so that a burst of answers costs one wake-up, never one each; and a
//! thread that has more to say may leave that to its last word (`batch.rs`).

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use crate::batch;
use crate::reactor::Reactor;
use crate::reason::Reason;

/// Locks; a panic elsewhere is counted and drains the server, it must not spread through a poisoned lock.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What other threads hand to a reactor: links whose task has something to look at, and work of the reactor itself.
pub(crate) struct Inbox {
    state: Mutex<Letters>,
    /// Letters lie here and nobody was woken.
    unhurried: AtomicBool,
    /// The moment of the reactor's last sweep (`deadline.rs`).
    pub(crate) coarse_now: Arc<AtomicU64>,
}

#[derive(Default)]
struct Letters {
    links: Vec<Arc<Link>>,
    jobs: Vec<Job>,
    reader: Option<Waker>,
    /// The reactor looks by itself soon.
    promised: bool,
    closed: bool,
}

/// Work that must run on the reactor's own thread.
pub(crate) type Job = Box<dyn FnOnce(&Rc<Reactor>) + Send>;

/// A batch out of an inbox. Who reads keeps it for the room that it has.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) links: Vec<Arc<Link>>,
    pub(crate) jobs: Vec<Job>,
}

impl Inbox {
    pub(crate) fn new(coarse_now: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), unhurried: AtomicBool::new(false), coarse_now })
    }

    /// Runs `job` on the reactor; drops it if the reactor has ended.
    pub(crate) fn run(&self, job: Job) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        state.jobs.push(job);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// `true`: the letter may wait, and the reactor was left asleep.
    fn post(&self, link: Arc<Link>, may_wait: bool) -> bool {
        let mut state = lock(&self.state);
        if state.closed {
            return false;
        }
        state.links.push(link);
        if may_wait && state.promised {
            let asleep = state.reader.is_some();
            self.unhurried.store(asleep, Ordering::Relaxed);
            return asleep;
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        false
    }

    /// Wakes the reactor if letters lie here for which nobody did.
    pub(crate) fn hurry(&self) {
        if !self.unhurried.load(Ordering::Relaxed) {
            return;
        }
        let mut state = lock(&self.state);
        self.unhurried.store(false, Ordering::Relaxed);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// By the reactor: it will call [`Inbox::keep_promise`] soon, so that letters which may wait need not wake it.
    pub(crate) fn promise(&self) {
        lock(&self.state).promised = true;
    }

    /// By the reactor: letters that waited are read now, and those to come wake it.
    pub(crate) fn keep_promise(&self) {
        lock(&self.state).promised = false;
        self.hurry();
    }

    /// Puts all that has come since the last time into `into`, which is empty; pending while there is nothing.
    pub(crate) fn poll(&self, reader: &Waker, into: &mut Delivery) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.links.is_empty() && state.jobs.is_empty() {
            state.reader = Some(reader.clone());
            return Poll::Pending;
        }
        self.unhurried.store(false, Ordering::Relaxed);
        std::mem::swap(&mut state.links, &mut into.links);
        std::mem::swap(&mut state.jobs, &mut into.jobs);
        Poll::Ready(())
    }

    /// Takes nothing more; what was left is dropped by the caller's thread.
    pub(crate) fn close(&self) -> Delivery {
        let mut state = lock(&self.state);
        state.closed = true;
        Delivery { links: std::mem::take(&mut state.links), jobs: std::mem::take(&mut state.jobs) }
    }
}

/// What the server asks of a connection; the strongest so far counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Close if nothing is under way: somebody else needs the room. Who has just begun something declines.
    MakeRoom(Reason),
    /// Finish what is in flight, then close (`drain`).
    Drain,
    /// Close now: the connection costs too much, or the server stops.
    Close(Reason),
}

/// The part of a connection that other threads may touch.
pub(crate) struct Link {
    inbox: Arc<Inbox>,
    posted: AtomicBool,
    /// Streams whose program side did something since the connection looked last; none of HTTP/1, which has one exchange at a
    /// time and looks at it whenever it is woken.
    touched: Mutex<Vec<u32>>,
    /// One for the connection's life, and its waker with it.
    task: OnceLock<Waker>,
    order: AtomicU32,
    /// Since when the connection is idle, for eviction of the longest idle; 0 = it is not.
    pub(crate) idle_since: AtomicU64,
    /// Since when the peer has moved nothing of what is under way, for eviction when memory is short; 0 = it is not waited for.
    pub(crate) stalled_since: AtomicU64,
    /// Octets of memory that the connection holds.
    pub(crate) held: AtomicU64,
    /// Callbacks of this connection that run, also those whose stream is gone (`max_handlers_per_connection`).
    pub(crate) running: AtomicUsize,
    #[cfg(any(test, feature = "test-panic"))]
    panics: AtomicBool,
}

/// Codes of orders, the stronger the higher; the id of a reason is added to the first and the last.
const ORDER_MAKE_ROOM: u32 = 0;
const ORDER_DRAIN: u32 = 1 << 16;
const ORDER_CLOSE: u32 = 2 << 16;

impl Link {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            posted: AtomicBool::new(false),
            touched: Mutex::default(),
            task: OnceLock::new(),
            order: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            held: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            #[cfg(any(test, feature = "test-panic"))]
            panics: AtomicBool::new(false),
        })
    }

    /// The program did something to `stream` (0: HTTP/1): its connection looks at it in the reactor's next turn.
    pub(crate) fn touch(self: &Arc<Self>, stream: u32) {
        if stream != 0 {
            lock(&self.touched).push(stream);
        }
        let may_wait = batch::may_wait();
        if self.posted.swap(true, Ordering::AcqRel) {
            if !may_wait {
                // Who posted it may have let it wait.
                self.inbox.hurry();
            }
        } else if self.inbox.post(self.clone(), may_wait) {
            batch::owe(&self.inbox);
        }
        if !may_wait {
            batch::settle();
        }
    }

    /// Wakes the connection in the reactor's next turn.
    pub(crate) fn call(self: &Arc<Self>) {
        if self.posted.swap(true, Ordering::AcqRel) {
            self.inbox.hurry();
        } else {
            self.inbox.post(self.clone(), false);
        }
    }

    /// Gives an order; a weaker one than before changes nothing.
    pub(crate) fn order(self: &Arc<Self>, order: Order) {
        let code = match order {
            Order::Serve => return,
            Order::MakeRoom(reason) => ORDER_MAKE_ROOM + reason.id(),
            Order::Drain => ORDER_DRAIN,
            Order::Close(reason) => ORDER_CLOSE + reason.id(),
        };
        // The first Close keeps its reason: a connection closes for one.
        let given = self.order.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            (now < ORDER_CLOSE && now < code).then_some(code)
        });
        if given.is_ok() {
            self.call();
        }
    }

    /// The order in force.
    pub(crate) fn current_order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            ORDER_DRAIN => Order::Drain,
            code if code < ORDER_DRAIN => {
                Reason::from_id(code - ORDER_MAKE_ROOM).map_or(Order::Serve, Order::MakeRoom)
            }
            code => Reason::from_id(code - ORDER_CLOSE).map_or(Order::Drain, Order::Close),
        }
    }

    /// By the connection: it was asked to make room, and has something to do. `false`: it was asked for more meanwhile.
    pub(crate) fn decline(&self) -> bool {
        let asked = |now| (now < ORDER_DRAIN).then_some(0);
        self.order.fetch_update(Ordering::AcqRel, Ordering::Acquire, asked).is_ok()
    }

    /// Runs `job` on the connection's reactor; drops it if the reactor has ended.
    pub(crate) fn run(&self, job: Job) {
        self.inbox.run(job);
    }

    /// The connection's task panics in its next poll.
    #[cfg(any(test, feature = "test-panic"))]
    pub(crate) fn panic(self: &Arc<Self>) {
        self.panics.store(true, Ordering::Relaxed);
        self.call();
    }

    /// By the reactor, when the inbox is read: the connection's task is polled in this turn.
    pub(crate) fn deliver(&self) {
        self.posted.store(false, Ordering::Release);
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// By the connection: its task, which orders and the program's acts wake.
    pub(crate) fn attend(&self, task: &Waker) {
        let known = self.task.get_or_init(|| task.clone());
        debug_assert!(known.will_wake(task), "a connection moved to another task");
    }

    #[cfg(any(test, feature = "test-panic"))]
    pub(crate) fn panic_if_asked(&self) {
        assert!(!self.panics.load(Ordering::Relaxed), "a test asked for a panic inside the library");
    }

    /// By the connection: moves the touched streams into `into`.
    pub(crate) fn take_touched(&self, into: &mut Vec<u32>) {
        into.append(&mut lock(&self.touched));
    }

    /// The moment of the reactor's last sweep.
    pub(crate) fn coarse_now(&self) -> u64 {
        self.inbox.coarse_now.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("order", &self.current_order()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Woken {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_first_letter_into_an_empty_inbox_wakes_the_reader() {
        let count = Arc::new(Woken::default());
        let inbox = Inbox::new(Arc::default());
        let mut delivery = Delivery::default();
        assert!(inbox.poll(&count.clone().into(), &mut delivery).is_pending());
        let links: Vec<_> = (0..10).map(|_| Link::new(inbox.clone())).collect();
        for link in &links {
            link.touch(1);
            link.touch(3);
        }
        assert_eq!(count.count(), 1);
        assert!(inbox.poll(&count.into(), &mut delivery).is_ready());
        assert_eq!(delivery.links.len(), 10);
        let mut touched = Vec::new();
        links[0].take_touched(&mut touched);
        assert_eq!(touched, [1, 3]);
    }

    #[test]
    fn a_connection_without_streams_keeps_no_list_of_them() {
        let link = Link::new(Inbox::new(Arc::default()));
        for _ in 0..100 {
            link.touch(0);
        }
        assert_eq!(lock(&link.touched).capacity(), 0);
    }

    #[test]
    fn a_batch_wakes_the_reader_with_its_last_letter_or_when_the_reader_looks() {
        let woken = Arc::new(Woken::default());
        let inbox = Inbox::new(Arc::default());
        let links: Vec<_> = (0..4).map(|_| Link::new(inbox.clone())).collect();
        let letters = || {
            let mut delivery = Delivery::default();
            let _ = inbox.poll(&woken.clone().into(), &mut delivery);
            delivery.links.iter().for_each(|link| link.deliver());
            delivery.links.len()
        };
        // Nobody promised to look: each first letter wakes.
        assert_eq!(letters(), 0);
        batch::begin(2);
        links[0].touch(1);
        assert_eq!((woken.count(), letters()), (1, 1));
        batch::settle();

        inbox.promise();
        assert_eq!(letters(), 0);
        batch::begin(3);
        links[0].touch(1);
        links[1].touch(1);
        assert_eq!(woken.count(), 1);
        links[2].touch(1);
        assert_eq!((woken.count(), letters()), (2, 3));

        // The thread goes away in the middle of its batch: the promise brings its letter.
        assert_eq!(letters(), 0);
        batch::begin(2);
        links[0].touch(1);
        assert_eq!(woken.count(), 2);
        inbox.keep_promise();
        assert_eq!((woken.count(), letters()), (3, 1));
        batch::settle();

        // It waits for something else: whatever it left is told.
        inbox.promise();
        assert_eq!(letters(), 0);
        batch::begin(2);
        links[0].touch(1);
        assert!(batch::is_owed());
        batch::settle();
        assert_eq!((woken.count(), letters()), (4, 1));

        // Somebody else has something to say about the same connection.
        assert_eq!(letters(), 0);
        batch::begin(2);
        links[0].touch(1);
        std::thread::scope(|scope| {
            scope.spawn(|| links[0].touch(3));
        });
        assert_eq!((woken.count(), letters()), (5, 1));
        batch::settle();
    }

    #[test]
    fn the_first_close_keeps_its_reason_and_beats_a_drain() {
        let link = Link::new(Inbox::new(Arc::default()));
        assert_eq!(link.current_order(), Order::Serve);
        link.order(Order::MakeRoom(Reason::AcceptLimit));
        assert_eq!(link.current_order(), Order::MakeRoom(Reason::AcceptLimit));
        assert!(link.decline());
        assert_eq!(link.current_order(), Order::Serve);
        link.order(Order::MakeRoom(Reason::AcceptLimit));
        link.order(Order::Drain);
        assert!(!link.decline());
        assert_eq!(link.current_order(), Order::Drain);
        link.order(Order::Close(Reason::AcceptLimit));
        link.order(Order::Close(Reason::Drain));
        link.order(Order::Drain);
        assert_eq!(link.current_order(), Order::Close(Reason::AcceptLimit));
    }
}
