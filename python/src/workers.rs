//! `mode="workers"`: threads that drain the core's queue. Each stays attached while there is work and detaches only to wait, so
//! that a burst costs one hand-over of the interpreter, not one per request.

use std::sync::Arc;

use bartizan::{Event, Next, Queue};
use pyo3::prelude::*;

use crate::context::Context;
use crate::threads;

/// Starts the pool; it ends when the queue does.
pub(crate) fn start(
    py: Python<'_>,
    threads: usize,
    queue: &Arc<Queue>,
    context: &Arc<Context>,
) -> PyResult<Vec<Py<PyAny>>> {
    (0..threads)
        .map(|index| {
            let (queue, context) = (queue.clone(), context.clone());
            threads::start(py, &format!("bartizan-worker-{index}"), move |py| work(py, &queue, &context))
        })
        .collect()
}

/// Takes one event at a time: the next handler may block for long, and what waits behind it is for other threads.
fn work(py: Python<'_>, queue: &Queue, context: &Arc<Context>) {
    let mut events = Vec::with_capacity(1);
    loop {
        let found = match queue.try_next(&mut events, 1) {
            Next::Again => py.detach(|| queue.next_parked(&mut events, true)),
            found => found,
        };
        for event in events.drain(..) {
            if let Event::Request(request) = event {
                context.serve(py, request);
            }
        }
        if found == Next::Closed {
            return;
        }
    }
}
