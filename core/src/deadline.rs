//! Time on a reactor: one coarse clock, one flat array of absolute deadlines swept every [`STEP`], and the clock of a phase that
//! can stop and go on. Which limit bounds which phase is not decided here.
//!
//! A flat array costs 72 instructions per request where four timer resets cost 1,150; the price is an error of 0 to +[`STEP`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// How often a reactor looks at its deadlines.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// A moment on a reactor's clock, in microseconds since the reactor started. A reactor that was held up (an inline handler that
/// blocks) does not count the time beyond two steps: its peers must not be executed for what it could not see.
pub(crate) type Moment = u64;

/// No deadline.
pub(crate) const NEVER: Moment = Moment::MAX;

thread_local! {
    /// No turn may begin with the last reading of this thread's clock.
    static OUTDATED: Cell<bool> = const { Cell::new(true) };
}

/// This thread has slept, or has run code of the program whose time nobody took: the next turn reads the clock.
pub(crate) fn outdate() {
    OUTDATED.set(true);
}

/// `duration` in the unit of [`Moment`].
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The deadlines of one reactor.
pub(crate) struct Deadlines {
    swept: Cell<Instant>,
    /// The clock as it was read last.
    read: Cell<Instant>,
    latest: Cell<Moment>,
    /// Whether [`outdate`] is called whenever the thread has slept; else each turn reads the clock.
    told: bool,
    swept_at: Cell<Moment>,
    /// The moment of the last sweep, for other threads.
    shared: Arc<AtomicU64>,
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    live: Cell<usize>,
}

#[derive(Default)]
struct Entry {
    due: Moment,
    waker: Option<Waker>,
}

impl Deadlines {
    /// `shared`: where other threads see the moment of the last sweep. `told`: whether [`outdate`] is called whenever the thread
    /// has slept.
    pub(crate) fn new(shared: Arc<AtomicU64>, told: bool) -> Rc<Self> {
        Rc::new(Self {
            swept: Cell::new(Instant::now()),
            read: Cell::new(Instant::now()),
            latest: Cell::new(0),
            told,
            swept_at: Cell::new(0),
            shared,
            entries: RefCell::default(),
            free: RefCell::default(),
            live: Cell::new(0),
        })
    }

    /// Now, never running ahead of the last sweep by more than the two steps that a stall is forgiven.
    pub(crate) fn now(&self) -> Moment {
        let instant = Instant::now();
        self.read.set(instant);
        let now = self.at(instant);
        self.latest.set(now);
        now
    }

    /// When a turn of a connection begins. Of a burst of requests each but the first begins with the reading behind the handler of
    /// the one before, a few microseconds old: a reading costs 60 ns, which is a hundredth of a small request.
    pub(crate) fn begin(&self) -> Moment {
        if OUTDATED.replace(true) || !self.told { self.now() } else { self.latest() }
    }

    /// As [`Deadlines::now`], behind a run of the program's code.
    pub(crate) fn read_behind_program(&self) {
        self.now();
        OUTDATED.set(false);
    }

    /// What [`Deadlines::now`] said last: within a turn of a connection, which begins with it, no older than the turn.
    pub(crate) fn latest(&self) -> Moment {
        self.latest.get()
    }

    /// The instant of the last [`Deadlines::now`].
    pub(crate) fn last_read(&self) -> Instant {
        self.read.get()
    }

    fn at(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.swept.get()).min(STEP * 2);
        // Below a second, so that these microseconds are all of it.
        self.swept_at.get() + u64::from(since.subsec_micros())
    }

    /// How many deadlines exist: one per connection.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// A deadline of one's own, at first [`NEVER`].
    pub(crate) fn register(self: &Rc<Self>) -> Deadline {
        let mut entries = self.entries.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            entries.push(Entry::default());
            entries.len() - 1
        });
        entries[index] = Entry { due: NEVER, waker: None };
        self.live.set(self.live.get() + 1);
        Deadline { table: self.clone(), index }
    }

    /// Waits that nothing bounds, and deadlines that are over although a sweep has passed.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn faults(&self) -> (usize, usize) {
        let entries = self.entries.borrow();
        let unbounded = entries.iter().filter(|entry| entry.due == NEVER).count() - self.free.borrow().len();
        let overdue = entries.iter().filter(|entry| entry.due < self.swept_at.get()).count();
        (unbounded, overdue)
    }

    /// Moves the clock on, and wakes everyone whose deadline is over.
    pub(crate) fn sweep(&self) {
        let instant = Instant::now();
        let now = self.at(instant);
        self.swept.set(instant);
        self.swept_at.set(now);
        // It may be from before the deadlines of those who are woken now, who would find nothing due and wait for a STEP more.
        outdate();
        self.shared.store(now, Ordering::Relaxed);
        self.wake(now);
    }

    /// Wakes everyone, whenever their deadline is.
    pub(crate) fn wake_all(&self) {
        self.wake(NEVER);
    }

    fn wake(&self, until: Moment) {
        for entry in self.entries.borrow().iter().filter(|entry| entry.due <= until) {
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }
}

/// One entry of the array; dropping it gives the place back.
pub(crate) struct Deadline {
    table: Rc<Deadlines>,
    index: usize,
}

impl Deadline {
    /// Wakes `waker` at the first sweep at or after `due`.
    pub(crate) fn set(&self, due: Moment, waker: &Waker) {
        let entry = &mut self.table.entries.borrow_mut()[self.index];
        entry.due = due;
        if !entry.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.table.now()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.table.entries.borrow_mut()[self.index] = Entry { due: NEVER, waker: None };
        self.table.free.borrow_mut().push(self.index);
        self.table.live.set(self.table.live.get() - 1);
    }
}

/// What bounds a phase whose clock can stop: each may be off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PhaseLimits {
    /// Longest time without progress.
    pub(crate) idle: Option<Duration>,
    /// Octets per second that must move on average.
    pub(crate) rate: Option<u64>,
    /// Credit of seconds at the start, and the most that can be saved up.
    pub(crate) grace: Duration,
    /// Longest time on the phase's own clock.
    pub(crate) total: Option<Duration>,
}

/// Which limit of a phase is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strike {
    /// No progress for too long. First, so that it wins a tie.
    Idle,
    /// Progress below the rate for longer than the credit lasts.
    Rate,
    /// The phase as a whole took too long.
    Total,
}

/// The clock of a phase: runs, stops, runs on. Limits are passed in at each question, since a handler may move them at any time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PhaseClock {
    running: Option<Moment>,
    spent: u64,
    /// Seconds of credit used up, in microseconds: grows with time, shrinks with octets, never below zero, so that a generous
    /// start cannot be saved up for an endless drip.
    debt: u64,
    progressed: Moment,
}

impl PhaseClock {
    /// Starts, or goes on; a running clock is left alone.
    pub(crate) fn run(&mut self, now: Moment) {
        if self.running.is_none() {
            self.running = Some(now);
            self.progressed = now;
        }
    }

    /// A standing clock is left alone.
    pub(crate) fn stop(&mut self, now: Moment) {
        self.settle(now);
        self.running = None;
    }

    /// Runs or stops.
    pub(crate) fn turn(&mut self, on: bool, now: Moment) {
        if on { self.run(now) } else { self.stop(now) }
    }

    /// When octets moved last, or the wait for them began; `None` while the clock stands.
    pub(crate) fn progressed(&self) -> Option<Moment> {
        self.running.map(|_| self.progressed)
    }

    /// `octets` moved.
    pub(crate) fn progress(&mut self, now: Moment, octets: u64, limits: &PhaseLimits) {
        self.settle(now);
        self.progressed = now;
        if let Some(rate) = limits.rate {
            self.debt = self.debt.saturating_sub(octets.saturating_mul(1_000_000) / rate.max(1));
        }
    }

    fn settle(&mut self, now: Moment) {
        if let Some(since) = self.running.replace(now) {
            self.spent += now.saturating_sub(since);
            self.debt += now.saturating_sub(since);
        } else {
            self.running = None;
        }
    }

    /// The earliest limit and its moment; `None` while the clock stands or nothing bounds it.
    pub(crate) fn due(&self, limits: &PhaseLimits) -> Option<(Moment, Strike)> {
        let since = self.running?;
        let idle = limits.idle.map(|idle| (self.progressed.saturating_add(micros(idle)), Strike::Idle));
        let rate = limits.rate.map(|_| {
            let credit = micros(limits.grace).saturating_sub(self.debt);
            (since.saturating_add(credit), Strike::Rate)
        });
        let total = limits.total.map(|total| {
            let left = micros(total).saturating_sub(self.spent);
            (since.saturating_add(left), Strike::Total)
        });
        // Not by an iterator: mostly two of them are off.
        let earlier = |one: Option<(Moment, Strike)>, other| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        earlier(earlier(idle, rate), total)
    }

    /// Time spent in the phase so far.
    pub(crate) fn spent(&self, now: Moment) -> Duration {
        let running = self.running.map_or(0, |since| now.saturating_sub(since));
        Duration::from_micros(self.spent + running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn limits() -> PhaseLimits {
        PhaseLimits {
            idle: Some(Duration::from_secs(15)),
            rate: Some(240),
            grace: Duration::from_secs(20),
            total: None,
        }
    }

    #[test]
    fn a_silent_phase_meets_its_idle_limit() {
        let mut clock = PhaseClock::default();
        clock.run(0);
        assert_eq!(clock.due(&limits()), Some((15 * SECOND, Strike::Idle)));
    }

    #[test]
    fn idle_wins_a_tie_with_the_rate() {
        let mut clock = PhaseClock::default();
        clock.run(0);
        let limits = PhaseLimits { grace: Duration::from_secs(15), ..limits() };
        assert_eq!(clock.due(&limits), Some((15 * SECOND, Strike::Idle)));
    }

    #[test]
    fn a_drip_below_the_rate_uses_up_the_credit() {
        let mut clock = PhaseClock::default();
        clock.run(0);
        for second in 1..=20 {
            assert!(clock.due(&limits()).is_some_and(|(due, _)| due > (second - 1) * SECOND));
            clock.progress(second * SECOND, 10, &limits());
        }
        let (due, strike) = clock.due(&limits()).unwrap();
        assert_eq!(strike, Strike::Rate);
        assert!((20 * SECOND..22 * SECOND).contains(&due), "{due}");
    }

    #[test]
    fn a_generous_start_is_not_saved_up() {
        let mut clock = PhaseClock::default();
        clock.run(0);
        clock.progress(0, 1 << 30, &limits());
        for second in 1..=20 {
            clock.progress(second * SECOND, 1, &limits());
        }
        let (due, strike) = clock.due(&limits()).unwrap();
        assert_eq!(strike, Strike::Rate);
        assert!(due < 21 * SECOND, "{due}");
    }

    #[test]
    fn a_stopped_clock_spends_nothing_and_goes_on_where_it_was() {
        let mut clock = PhaseClock::default();
        let limits = PhaseLimits { total: Some(Duration::from_secs(10)), ..PhaseLimits::default() };
        clock.run(0);
        clock.stop(4 * SECOND);
        assert_eq!(clock.due(&limits), None);
        clock.run(100 * SECOND);
        assert_eq!(clock.due(&limits), Some((106 * SECOND, Strike::Total)));
        assert_eq!(clock.spent(101 * SECOND), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_reactor_forgives_the_excess() {
        let table = Deadlines::new(Arc::default(), false);
        let before = table.now();
        tokio::time::advance(Duration::from_secs(12)).await;
        table.sweep();
        assert_eq!(table.now() - before, micros(STEP * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_begins_with_the_reading_behind_the_program_once_and_not_after_a_sleep() {
        let table = Deadlines::new(Arc::default(), true);
        let later = || tokio::time::advance(Duration::from_millis(1));
        let read = table.now();
        later().await;
        assert_eq!(table.begin(), read + 1_000, "nothing of the program ran");
        table.read_behind_program();
        later().await;
        assert_eq!(table.begin(), read + 1_000, "the turn behind it");
        assert_eq!(table.begin(), read + 2_000, "the next one");
        table.read_behind_program();
        outdate();
        later().await;
        assert_eq!(table.begin(), read + 3_000, "behind a sleep");
        table.read_behind_program();
        later().await;
        table.sweep();
        assert_eq!(table.begin(), read + 4_000, "behind a sweep");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_wakes_at_its_moment_and_not_before() {
        let table = Deadlines::new(Arc::default(), false);
        let deadline = table.register();
        let (waker, wakes) = counting_waker();
        deadline.set(table.now() + micros(Duration::from_millis(250)), &waker);
        for expected in [0, 0, 1] {
            tokio::time::advance(STEP).await;
            table.sweep();
            assert_eq!(wakes.0.load(Ordering::Relaxed), expected);
        }
    }

    struct Wakes(AtomicU64);
    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting_waker() -> (Waker, Arc<Wakes>) {
        let wakes = Arc::new(Wakes(AtomicU64::new(0)));
        (wakes.clone().into(), wakes)
    }
}
