//! How requests and their events get from a reactor to the program: at once (inline), or in one batch per turn of the reactor
//! to workers and queues, which differ only in who drains. Whether there is room for one more is `admission.rs`.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Dispatch, Handler, Hooks, Role};
use crate::deadline::outdate;
use crate::event::{Done, Event};
use crate::exchange::{CancelHook, Exchange, NOWHERE, Outcome, Ready};
use crate::queue::{Next, Queue};
use crate::reactor::{Reactor, mark_worker_thread};
use crate::reason::Reason;
use crate::request::Request;

/// A batch this long is handed over within the turn.
const FULL: usize = 256;

/// A handler that took longer is likely to take long again, and what waits behind it goes to another worker at once. Waking one
/// costs some 5 us of CPU time on each side.
const QUICK: Duration = Duration::from_micros(50);

/// The program's side, as the reactors see it.
pub(crate) enum Dispatcher {
    Inline(Arc<dyn Handler>),
    Workers { handler: Arc<dyn Handler>, queue: [Arc<Queue>; 1] },
    Queues(Vec<Arc<Queue>>),
}

impl Dispatcher {
    pub(crate) fn new(dispatch: &Dispatch) -> std::io::Result<Self> {
        Ok(match dispatch {
            Dispatch::Inline(handler) => Self::Inline(handler.clone()),
            Dispatch::Workers(handler) => Self::Workers { handler: handler.clone(), queue: [Queue::new()?] },
            Dispatch::Queues(queues) => Self::Queues(queues.clone()),
        })
    }

    pub(crate) fn queues(&self) -> &[Arc<Queue>] {
        match self {
            Self::Inline(_) => &[],
            Self::Workers { queue, .. } => queue,
            Self::Queues(queues) => queues,
        }
    }

    pub(crate) fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }

    /// Whether the program drains the queues itself.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Queues(_))
    }

    /// Whether those queues carry the events of a request too, and not its hooks.
    pub(crate) fn carries_events(&self) -> bool {
        matches!(self, Self::Queues(queues) if queues.iter().any(|queue| queue.carries_events()))
    }
}

/// What a turn has for one queue.
#[derive(Default)]
struct Batch {
    requests: Vec<Request>,
    others: Vec<Event>,
}

/// The events of one turn of a reactor, per queue.
pub(crate) struct Turn {
    batches: RefCell<Vec<Batch>>,
    next: Cell<usize>,
    filled: Cell<bool>,
    /// Of what was handed over, not all has a consumer that was woken for it, or its answers may wait for each other.
    doubtful: Cell<bool>,
    flusher: RefCell<Option<Waker>>,
}

impl Turn {
    pub(crate) fn new(queues: usize, first: usize) -> Self {
        Self {
            batches: RefCell::new((0..queues).map(|_| Batch::default()).collect()),
            next: Cell::new(first),
            filled: Cell::new(false),
            doubtful: Cell::new(false),
            flusher: RefCell::default(),
        }
    }

    fn push(&self, shared: &crate::server::Shared, queue: usize, put: impl FnOnce(&mut Batch)) {
        let full = {
            let batch = &mut self.batches.borrow_mut()[queue];
            put(batch);
            batch.requests.len() + batch.others.len() >= FULL
        };
        if full {
            self.flush(shared);
        }
        if !self.filled.replace(true)
            && let Some(flusher) = self.flusher.borrow_mut().take()
        {
            // Woken last, it runs behind the tasks that are ready now: their requests join the batch.
            flusher.wake();
        }
    }

    /// Ready once something waits to be flushed.
    pub(crate) fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.filled.get() {
            return Poll::Ready(());
        }
        *self.flusher.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether somebody has to look soon at what was handed over; told once.
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubtful.take()
    }

    /// Hands over what the turn has gathered: one lock and at most one signal per queue.
    pub(crate) fn flush(&self, shared: &crate::server::Shared) {
        self.filled.set(false);
        for (index, queue) in shared.dispatch.queues().iter().enumerate() {
            let Batch { mut requests, mut others } = std::mem::take(&mut self.batches.borrow_mut()[index]);
            let length = requests.len() + others.len();
            if length > 0 {
                if queue.append(requests.drain(..), others.drain(..)) || length > 1 {
                    self.doubtful.set(true);
                }
                self.batches.borrow_mut()[index] = Batch { requests, others };
            }
        }
    }
}

impl Reactor {
    /// Hands a request to the program, or says why there is no room for one more.
    pub(crate) fn dispatch(&self, exchange: &Arc<Exchange>) -> Result<(), Reason> {
        let load = &self.shared.load;
        let link = exchange.link();
        let slot = match &self.shared.dispatch {
            Dispatcher::Inline(_) => load.run(link)?,
            _ => load.queue(link)?,
        };
        if link.running.load(Ordering::Relaxed) > exchange.connection.settings.max_handlers_per_connection {
            load.leave(slot, link);
            return Err(Reason::HandlerCapacity);
        }
        let request = Request::new(exchange.clone(), slot);
        match &self.shared.dispatch {
            Dispatcher::Inline(handler) => {
                exchange.mark_delivered();
                self.watch(|| call(handler, request));
                exchange.end_dispatch();
            }
            dispatcher => {
                let queue = self.turn.next.get() % dispatcher.queues().len();
                self.turn.next.set(queue + 1);
                exchange.queue.store(queue as u32, Ordering::Relaxed);
                self.turn.push(&self.shared, queue, |batch| batch.requests.push(request));
            }
        }
        Ok(())
    }

    /// Tells the program that armed readiness has come.
    pub(crate) fn tell_ready(&self, exchange: &Arc<Exchange>, ready: Ready) {
        match &self.shared.dispatch {
            Dispatcher::Inline(_) => self.watch(|| exchange.run_ready_hook(ready)),
            _ => self.tell(exchange, Event::Ready(exchange.clone(), ready)),
        }
    }

    /// Tells the program that its exchange was cancelled.
    pub(crate) fn tell_cancelled(&self, exchange: &Arc<Exchange>, reason: Reason, hook: Option<CancelHook>) {
        if let Some(hook) = hook {
            self.watch(|| hook(reason));
        }
        if self.shared.dispatch.carries_events() {
            self.tell(exchange, Event::Cancelled(exchange.clone(), reason));
        }
    }

    /// Tells the program that the exchange is over on the wire.
    pub(crate) fn tell_done(&self, exchange: &Arc<Exchange>, outcome: Outcome) {
        if self.shared.dispatch.carries_events() {
            self.tell(exchange, Event::Done(Done::of(exchange, outcome)));
        }
    }

    fn tell(&self, exchange: &Exchange, event: Event) {
        let queue = exchange.queue.load(Ordering::Relaxed);
        if queue != NOWHERE {
            self.turn.push(&self.shared, queue as usize, |batch| batch.others.push(event));
        }
    }

    /// Runs the program's code on the reactor, and reports it when it held everybody else up (`inline_stall`). The clock is read
    /// behind it, so that its time is not charged to the peer; before it, it was when this turn of the connection began, or behind
    /// the run right before that.
    fn watch(&self, code: impl FnOnce()) {
        let before = self.deadlines.last_read();
        let run = self.observe(code);
        self.deadlines.read_behind_program();
        let (Some(limit), Some(run)) = (self.shared.settings.inline_stall, run) else { return };
        let took = self.deadlines.last_read().saturating_duration_since(before);
        if took > limit {
            if self.mark.tell(run) {
                self.tally.inline_stalled();
            }
            self.shared.log_stall("held a reactor", took);
        }
    }

    /// Runs an observer of the program, under the eyes of the watchdog alone: there are many for each request, and each reading
    /// of the clock costs more than all the rest. A panic in it is the program's fault and costs nobody else anything.
    pub(crate) fn observe(&self, code: impl FnOnce()) -> Option<u64> {
        let run = self.mark.enter();
        let _ = catch_unwind(AssertUnwindSafe(code));
        outdate();
        if let Some(run) = run {
            self.mark.leave(run);
        }
        run
    }
}

fn call(handler: &Arc<dyn Handler>, request: Request) {
    // A panic drops the request, which answers 500: the program's fault costs one exchange.
    let _ = catch_unwind(AssertUnwindSafe(|| handler.handle(request)));
}

/// The body of a worker thread: takes one event at a time, since the next may block for long.
pub(crate) fn work(handler: &Arc<dyn Handler>, queue: &Queue, hooks: &Hooks) {
    mark_worker_thread();
    if let Some(hook) = &hooks.thread {
        hook(Role::Worker, true);
    }
    let mut events = Vec::with_capacity(1);
    let (mut clock, mut slow) = (Instant::now(), false);
    loop {
        let (next, paused) = queue.next_of_pool(&mut events, slow);
        if next == Next::Closed {
            break;
        }
        // Else it began where the one before ended.
        if paused {
            clock = Instant::now();
        }
        while let Some(event) = events.pop() {
            match event {
                Event::Request(request) => call(handler, request),
                Event::Ready(exchange, ready) => exchange.run_ready_hook(ready),
                _ => {}
            }
        }
        let ended = Instant::now();
        slow = ended.saturating_duration_since(clock) > QUICK;
        clock = ended;
    }
    if let Some(hook) = &hooks.thread {
        hook(Role::Worker, false);
    }
}
