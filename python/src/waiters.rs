//! asyncio futures that wait for the core: a core waker, which may fire on a reactor and never touches Python, is only a number
//! sent to the thread that settles futures.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use pyo3::intern;
use pyo3::prelude::*;

use crate::request::{aio, lock};

/// Carries the number of a waiter to the thread that will call [`Waiters::settle`].
pub(crate) type Route = Arc<dyn Fn(u64) + Send + Sync>;

/// The futures of one server.
pub(crate) struct Waiters {
    pending: Mutex<HashMap<u64, Py<PyAny>>>,
    next: AtomicU64,
    route: Mutex<Option<Route>>,
}

/// One future, and what makes it done.
pub(crate) struct Waiter<'py> {
    pub(crate) future: Bound<'py, PyAny>,
    pub(crate) waker: Waker,
    number: u64,
}

impl Waiter<'_> {
    /// Nobody will await this one.
    pub(crate) fn leave(self, waiters: &Waiters) {
        lock(&waiters.pending).remove(&self.number);
    }
}

/// Rings when it is dropped, and so whether the core wakes it, replaces it by another reader's or ends the exchange: no
/// future is forgotten.
struct Bell {
    number: u64,
    route: Route,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Bell {
    fn drop(&mut self) {
        (self.route)(self.number);
    }
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self { pending: Mutex::default(), next: AtomicU64::new(1), route: Mutex::default() }
    }

    /// Where the numbers go; set once, before the server starts.
    pub(crate) fn set_route(&self, route: Route) {
        *lock(&self.route) = Some(route);
    }

    /// A future of the running loop.
    pub(crate) fn enter<'py>(&self, py: Python<'py>) -> PyResult<Waiter<'py>> {
        let future = aio(py)?.call_method0(intern!(py, "future"))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let route = lock(&self.route).clone().unwrap_or_else(|| Arc::new(|_| {}));
        lock(&self.pending).insert(number, future.clone().unbind());
        Ok(Waiter { future, waker: Waker::from(Arc::new(Bell { number, route })), number })
    }

    /// Marks a future as done, on whichever loop it lives.
    pub(crate) fn settle(&self, py: Python<'_>, number: u64) {
        let Some(future) = lock(&self.pending).remove(&number) else { return };
        let settled = aio(py).and_then(|aio| aio.call_method1(intern!(py, "settle"), (future,)));
        if let Err(error) = settled {
            error.write_unraisable(py, None);
        }
    }
}
