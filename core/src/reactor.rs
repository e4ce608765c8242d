//! One reactor: a thread with a current-thread runtime, its connections, its clock, its buffers and its numbers. A connection
//! lives on one reactor for ever. What connections do is `connection.rs`; where sockets come from is `listener.rs`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::buffer::Pool;
use crate::connection::{ConnectionInfo, unix_time};
use crate::counters::Tally;
use crate::deadline::{Deadlines, Moment, STEP};
use crate::dispatch::Turn;
use crate::event::LogLevel;
use crate::exchange::Spares;
use crate::http::date::{self, DateCache};
use crate::http::h1::seat::Seats;
use crate::link::{Delivery, Inbox, Job};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::server::{LIBRARY, Shared, TLS};
use crate::tls::session::Scratch;
use crate::watchdog::Mark;

thread_local! {
    static ON_REACTOR: Cell<bool> = const { Cell::new(false) };
    static ON_WORKER: Cell<bool> = const { Cell::new(false) };
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Whether the calling thread runs connections: what blocks here blocks every peer.
pub fn is_reactor_thread() -> bool {
    ON_REACTOR.get()
}

/// Whether the calling thread is one of ours: it cannot wait for itself to end.
pub fn is_library_thread() -> bool {
    ON_REACTOR.get() || ON_WORKER.get()
}

pub(crate) fn mark_reactor_thread() {
    ON_REACTOR.set(true);
}

pub(crate) fn mark_worker_thread() {
    ON_WORKER.set(true);
}

/// How often a reactor looks how busy it is, at most.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The share of its time that a reactor may be busy and still has some to spare. The runtime does not count the polling of sockets:
/// with 32 clients in a closed loop that fill a core it is busy for nine tenths.
const SPARE_BELOW: f64 = 0.5;

/// How much a reactor had to do, by the last look.
#[derive(Clone, Copy, Debug)]
struct Utilisation {
    looked: Instant,
    busy: Duration,
    spare: bool,
}

impl Utilisation {
    fn is_due(self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= LOOK_AGAIN
    }

    /// `busy`: for how long, since the beginning.
    fn look(self, now: Instant, busy: Duration) -> Self {
        let elapsed = now.saturating_duration_since(self.looked);
        let spare = busy.saturating_sub(self.busy) < elapsed.mul_f64(SPARE_BELOW);
        Self { looked: now, busy, spare }
    }
}

/// Records of noise per second and reactor: a flood of peers must not become a flood of records.
const NOISE_PER_SECOND: u32 = 10;

/// How much noise was told of in this second, and how much was not since the last record.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    second: u64,
    told: u32,
    untold: u64,
}

/// What the connections of one reactor share.
pub(crate) struct Reactor {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) buffers: Pool,
    pub(crate) ciphertext: Rc<Scratch>,
    pub(crate) exchanges: Spares,
    pub(crate) seats: Seats,
    pub(crate) turn: Turn,
    pub(crate) mark: Arc<Mark>,
    noise: Cell<Noise>,
    utilisation: Cell<Utilisation>,
    date: RefCell<DateCache>,
    date_due: Cell<Moment>,
    date_second: Cell<u64>,
    /// Somebody has to sweep, or to look whether the end has come.
    changed: Notify,
}

impl Reactor {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        inbox: Arc<Inbox>,
        deadlines: Rc<Deadlines>,
    ) -> Rc<Self> {
        Rc::new(Self {
            index,
            deadlines,
            inbox,
            tally: shared.tallies[index].clone(),
            buffers: Pool::default(),
            ciphertext: Rc::default(),
            exchanges: Spares::default(),
            seats: Seats::default(),
            turn: Turn::new(shared.dispatch.queues().len(), index),
            mark: shared.watchdog.marks[index].clone(),
            noise: Cell::default(),
            utilisation: Cell::new(Utilisation { looked: Instant::now(), busy: Duration::ZERO, spare: true }),
            date: RefCell::new(DateCache::new()),
            date_due: Cell::new(0),
            date_second: Cell::new(0),
            changed: Notify::new(),
            shared,
        })
    }

    /// Runs a connection's task. A panic is ours: it is counted with the connection (`internal`) and drains the server.
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        // The first one, which has its deadline already: nobody has swept without it.
        if self.deadlines.live() == 1 {
            self.deadlines.sweep();
            self.shared.watchdog.wake();
        }
        self.changed.notify_one();
        let shared = self.shared.clone();
        tokio::task::spawn_local(async move {
            if let Err(panic) = Caught(Box::pin(task)).await {
                shared.poison(&words_of(&*panic));
            }
        });
    }

    /// A connection has ended, or the server drains.
    pub(crate) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Whether it has waited for work for a good part of the time since the last look.
    pub(crate) fn has_time(&self) -> bool {
        let now = Instant::now();
        if self.utilisation.get().is_due(now) {
            let busy = Handle::current().metrics().worker_total_busy_duration(0);
            self.utilisation.set(self.utilisation.get().look(now, busy));
        }
        self.utilisation.get().spare
    }

    /// Tells of a connection that closed for what the Internet brings, now and then.
    pub(crate) fn note_noise(&self, connection: &ConnectionInfo, phase: Phase, reason: Reason) {
        let target = if reason.name().starts_with("tls.") { TLS } else { LIBRARY };
        self.now_and_then(LogLevel::Debug, target, connection.id, || {
            let (ip, port) = (&connection.peer.ip, connection.peer.port);
            format!("a connection from {ip} port {port} closed in {}: {reason}", phase.name())
        });
    }

    /// Tells of a program that answered a request twice, now and then: each of its requests may do so.
    pub(crate) fn note_second_answer(&self, connection: u64) {
        self.now_and_then(LogLevel::Warn, LIBRARY, connection, || {
            "a request was answered twice: the second answer was refused".to_owned()
        });
    }

    fn now_and_then(
        &self,
        level: LogLevel,
        target: &'static str,
        connection: u64,
        text: impl FnOnce() -> String,
    ) {
        if !self.shared.is_heard(level) {
            return;
        }
        let second = self.deadlines.now() / 1_000_000;
        let mut noise = self.noise.get();
        if noise.second != second {
            noise = Noise { second, told: 0, untold: noise.untold };
        }
        if noise.told == NOISE_PER_SECOND {
            self.noise.set(Noise { untold: noise.untold + 1, ..noise });
            return;
        }
        self.noise.set(Noise { told: noise.told + 1, untold: 0, ..noise });
        let more =
            if noise.untold > 0 { format!("; {} more were not told", noise.untold) } else { String::new() };
        self.shared.log_about(level, target, connection, &(text() + &more));
    }

    /// The date field's value of this second.
    pub(crate) fn date(&self, now: Moment) -> [u8; date::LEN] {
        let mut cache = self.date.borrow_mut();
        if now >= self.date_due.get() {
            let unix = unix_time();
            self.date_second.set(unix.as_secs());
            self.date_due.set(now + 1_000_000 - u64::from(unix.subsec_micros()));
        }
        *cache.at(self.date_second.get())
    }

    /// Serves until the server drains and the last connection is gone.
    pub(crate) async fn run(self: &Rc<Self>) {
        let inbox = tokio::task::spawn_local(read_inbox(self.clone()));
        let flusher = tokio::task::spawn_local(flush_turns(self.clone()));
        let mut pressed = 0;
        loop {
            if self.deadlines.live() == 0 {
                if self.shared.is_draining() {
                    break;
                }
                // What the exchanges left for the next holds their connections.
                self.exchanges.trim();
                // No connection, no tick: an idle host is not woken ten times a second.
                self.changed.notified().await;
                // The clock has not moved since.
                self.deadlines.sweep();
                // Memory that was short when the last one left need not be short now.
                self.shared.look();
                continue;
            }
            sleep_until(Instant::now() + STEP).await;
            // Sockets that became ready while the reactor was held up are served before anybody's deadline is judged.
            tokio::task::yield_now().await;
            self.deadlines.sweep();
            self.shared.look();
            let level = self.shared.pressure.level();
            if level > pressed {
                // Whoever waits now works out anew until when.
                self.deadlines.wake_all();
            }
            pressed = level;
        }
        inbox.abort();
        flusher.abort();
        self.turn.flush(&self.shared);
        let rest = self.inbox.close();
        for job in rest.jobs {
            self.perform(job);
        }
    }

    /// A panic in it is ours, and must not end the task that brings the answers of other threads.
    fn perform(self: &Rc<Self>, job: Job) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(self))) {
            self.shared.poison(&words_of(&*panic));
        }
    }
}

async fn read_inbox(reactor: Rc<Reactor>) {
    let mut delivery = Delivery::default();
    loop {
        poll_fn(|cx| reactor.inbox.poll(cx.waker(), &mut delivery)).await;
        for job in delivery.jobs.drain(..) {
            reactor.perform(job);
        }
        for link in delivery.links.drain(..) {
            link.deliver();
        }
    }
}

/// How long answers may wait for those of the same batch, and requests for a worker that was quick until now, before the reactor
/// looks. Only who takes longer than this for one event makes others wait for it.
const LOOK: Duration = Duration::from_millis(1);

async fn flush_turns(reactor: Rc<Reactor>) {
    let mut look = pin!(sleep_until(Instant::now()));
    let mut armed = false;
    poll_fn(|cx| {
        while reactor.turn.poll_filled(cx).is_ready() {
            reactor.turn.flush(&reactor.shared);
            if reactor.turn.take_doubt() && !armed {
                armed = true;
                look.as_mut().reset(Instant::now() + LOOK);
                reactor.inbox.promise();
            }
        }
        if armed && look.as_mut().poll(cx).is_ready() {
            armed = false;
            reactor.inbox.keep_promise();
            for queue in reactor.shared.dispatch.queues() {
                queue.rouse();
            }
        }
        Poll::<()>::Pending
    })
    .await
}

/// A future whose panic is a value.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// Tells where a panic is that the library is about to catch, so that the record of it can say so. For the panic hook of a
/// binding that has its own copy of std; who hosts this crate in Rust has a hook of their own.
pub fn note_panic(location: Option<&Location<'_>>) {
    let place = location.map_or_else(String::new, |location| format!(", at {location}"));
    // Gone at the end of a thread, where nobody is told either.
    let _ = PANICKED_AT.try_with(|at| at.replace(place));
}

/// The end of a record's sentence: where this thread has panicked, as far as that is known.
pub(crate) fn panicked_at() -> String {
    PANICKED_AT.take()
}

/// What a panic that was caught said, and where.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned()) + &panicked_at()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_half_of_the_time_has_some_to_spare() {
        let began = Instant::now();
        let first = Utilisation { looked: began, busy: Duration::from_secs(7), spare: true };
        let later = began + LOOK_AGAIN;
        assert!(!first.is_due(later - Duration::from_nanos(1)) && first.is_due(later));
        let half = Duration::from_secs(7) + LOOK_AGAIN / 2;
        assert!(!first.look(later, half).spare);
        let less = first.look(later, half - Duration::from_nanos(1));
        assert!(less.spare);
        assert!(
            !less.look(later + LOOK_AGAIN, half + LOOK_AGAIN).spare,
            "each look counts from the last one"
        );
    }
}
