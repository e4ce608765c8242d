//! A request that outlives its callback, as a future that is the same in every mode. It is polled wherever its next event
//! arrives: on the reactor, on a worker, by whoever drains the queue, by the timer; in workers mode a read or write blocks
//! instead of waiting for an event.
//!
//! Events come from any thread, also while the future is polled and from inside it: whoever finds the flow at rest polls it,
//! everyone else only leaves a mark. So no lock is held across a call of the library, and a reactor never waits for a worker.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan::{Exchange, Patience, Ready, Reason, Request, RequestError};
use bytes::Bytes;

use crate::Probe;
use crate::options::Mode;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Flow {
    probe: Arc<Probe>,
    exchange: Arc<Exchange>,
    /// Nothing is left to do once the peer has closed: whoever never answers cannot use the half that is open.
    leaves_with_peer: bool,
    marks: Mutex<Marks>,
    /// Only whoever set `running` looks inside; the request goes with it.
    work: Mutex<Option<Work>>,
    /// Whether the thread that polls now may block.
    may_block: AtomicBool,
}

#[derive(Default)]
struct Marks {
    running: bool,
    happened: bool,
    over: bool,
    cancelled: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `steps` on a request for as long as its exchange lives.
pub(crate) fn spawn<S, F>(
    probe: &Arc<Probe>,
    request: Request,
    may_block: bool,
    leaves_with_peer: bool,
    steps: S,
) where
    S: FnOnce(Io) -> F,
    F: Future<Output = Result<(), RequestError>> + Send + 'static,
{
    let flow = Arc::new(Flow {
        probe: probe.clone(),
        exchange: request.exchange().clone(),
        leaves_with_peer,
        marks: Mutex::default(),
        work: Mutex::default(),
        may_block: AtomicBool::new(may_block),
    });
    let io = Io { request: Arc::new(request), flow: flow.clone() };
    let request = io.request.clone();
    let steps = steps(io);
    // Whatever failed, the library has answered or reset by then.
    *lock(&flow.work) = Some(Box::pin(async move {
        let _ = steps.await;
    }));
    if probe.mode == Mode::Queue {
        probe.flows.enter(&flow);
    } else {
        let (ready, cancel) = (flow.clone(), flow.clone());
        let on_worker = probe.mode == Mode::Workers;
        // Neither fails: the request is fresh.
        let _ = request.on_ready(Arc::new(move |_: Ready| ready.post(on_worker)));
        let _ = request.on_cancel(Box::new(move |reason| cancel.cancel(reason)));
    }
    drop(request);
    flow.post(may_block);
}

impl Flow {
    /// Something happened that the future waits for, perhaps.
    pub(crate) fn post(self: &Arc<Self>, may_block: bool) {
        self.mark(may_block, |marks| marks.happened = true);
    }

    /// The exchange is over on the wire.
    pub(crate) fn over(self: &Arc<Self>) {
        self.mark(false, |marks| marks.over = true);
    }

    /// The cancel signal was raised; after `peer.closed` an answer may still go out.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) {
        if std::mem::replace(&mut lock(&self.marks).cancelled, true) {
            return;
        }
        if let Some(events) = &self.probe.events {
            events.cancelled(&self.exchange, reason);
        }
        if self.leaves_with_peer || reason != Reason::PeerClosed {
            self.over();
        }
    }

    fn mark(self: &Arc<Self>, may_block: bool, change: impl FnOnce(&mut Marks)) {
        let mut marks = lock(&self.marks);
        change(&mut marks);
        if marks.running {
            return;
        }
        marks.running = true;
        while std::mem::take(&mut marks.happened) || marks.over {
            let over = std::mem::take(&mut marks.over);
            drop(marks);
            self.may_block.store(may_block, Ordering::Relaxed);
            self.poll(over);
            marks = lock(&self.marks);
        }
        marks.running = false;
    }

    fn poll(self: &Arc<Self>, over: bool) {
        let mut work = lock(&self.work);
        let Some(future) = &mut *work else { return };
        if over || future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            let ended = work.take();
            drop(work);
            drop(ended);
            self.probe.flows.leave(&self.exchange);
        }
    }
}

/// What a flow's steps wait for.
pub(crate) struct Io {
    pub(crate) request: Arc<Request>,
    flow: Arc<Flow>,
}

impl Io {
    fn patience(&self) -> Patience {
        if self.flow.may_block.load(Ordering::Relaxed) { None } else { Some(Duration::ZERO) }
    }

    /// The next piece of content; `None` at its end.
    pub(crate) async fn read(&self) -> Result<Option<Bytes>, RequestError> {
        poll_fn(|_| match self.request.read_chunk(self.patience()) {
            Err(RequestError::TimedOut) => match self.request.arm_content() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
            found => Poll::Ready(found),
        })
        .await
    }

    /// Hands over all of `octets`, at the peer's pace.
    pub(crate) async fn write(&self, mut octets: &[u8]) -> Result<(), RequestError> {
        poll_fn(|_| {
            while !octets.is_empty() {
                match self.request.write(octets, self.patience()) {
                    Ok(0) => match self.request.arm_room() {
                        Ok(()) => return Poll::Pending,
                        Err(error) => return Poll::Ready(Err(error)),
                    },
                    Ok(taken) => octets = &octets[taken..],
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Goes on after `time` on the timer's thread.
    pub(crate) async fn sleep(&self, time: Duration) {
        let (past, flow) = (Arc::new(AtomicBool::new(false)), self.flow.clone());
        let mark = past.clone();
        self.flow.probe.timer.spawn(async move {
            tokio::time::sleep(time).await;
            mark.store(true, Ordering::Release);
            flow.post(false);
        });
        poll_fn(|_| if past.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// The flows of `--mode queue` by the tag that their events carry: an event may be taken by another consumer than the request,
/// and after the end of its flow.
#[derive(Default)]
pub(crate) struct Flows {
    by_tag: Mutex<HashMap<u64, Arc<Flow>>>,
    last: AtomicU64,
}

impl Flows {
    fn enter(&self, flow: &Arc<Flow>) {
        let tag = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.by_tag).insert(tag, flow.clone());
        flow.exchange.set_tag(tag);
        // Another consumer may have passed over a cancellation, even the end, before the flow stood in the table. Both come
        // only after cancel was raised, so one look finds what was missed.
        if let Some(reason) = flow.exchange.cancelled() {
            flow.cancel(reason);
        }
    }

    fn leave(&self, exchange: &Exchange) {
        let gone = lock(&self.by_tag).remove(&exchange.tag());
        drop(gone);
    }

    /// The flow behind an event; most requests never had one.
    pub(crate) fn of(&self, exchange: &Exchange) -> Option<Arc<Flow>> {
        match exchange.tag() {
            0 => None,
            tag => lock(&self.by_tag).get(&tag).cloned(),
        }
    }
}
