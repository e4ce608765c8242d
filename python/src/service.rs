//! The service thread of a server: the one place where hooks, cancel callbacks and log records reach Python. Reactors only leave
//! notes here, bounded and without a Python object in hand, and never wait for it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bartizan::{ConnectionRecord, Exchange, LogRecord, RequestRecord};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::answer::Rest;
use crate::context::log_failure;
use crate::records;
use crate::request::{Request, lock};
use crate::stream;
use crate::threads;
use crate::waiters::Waiters;

/// Most notes that wait; what comes on top is lost, which shows as a gap in `seq`.
const MAX_NOTES: usize = 64 * 1024;

/// How often exchanges with a cancel callback are looked at. A queue hands nothing out while every worker is busy, and a busy
/// worker is just who wants to hear of a cancellation; it is one atomic load per watched exchange.
const WATCH: Duration = Duration::from_millis(25);

/// Something for the service thread to tell the program.
pub(crate) enum Note {
    Connection(u64, Box<ConnectionRecord>),
    RequestEnd(u64, Box<RequestRecord>),
    Log(Box<LogRecord>),
    Failure((String, String), PyErr),
    /// A waiter's number.
    Settle(u64),
}

/// The mailbox of the service thread.
pub(crate) struct Service {
    notes: Mutex<Notes>,
    changed: Condvar,
    watched: Mutex<Vec<(Arc<Exchange>, Py<PyAny>)>>,
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct Notes {
    waiting: VecDeque<Note>,
    sleeping: bool,
    closed: bool,
    connections: u64,
    requests: u64,
    lost: u64,
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) connection: Vec<Py<PyAny>>,
    pub(crate) request_end: Vec<Py<PyAny>>,
}

impl Service {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            changed: Condvar::new(),
            watched: Mutex::default(),
            waiters: Waiters::new(),
        })
    }

    pub(crate) fn connection(&self, record: &ConnectionRecord) {
        self.leave(|notes| {
            notes.connections += 1;
            Note::Connection(notes.connections, Box::new(record.clone()))
        });
    }

    pub(crate) fn request_end(&self, record: &RequestRecord) {
        self.leave(|notes| {
            notes.requests += 1;
            Note::RequestEnd(notes.requests, Box::new(record.clone()))
        });
    }

    pub(crate) fn log(&self, record: &LogRecord) {
        self.leave(|_| Note::Log(Box::new(record.clone())));
    }

    /// A handler failed on a reactor.
    pub(crate) fn record(&self, subject: (String, String), error: PyErr) {
        self.leave(|_| Note::Failure(subject, error));
    }

    pub(crate) fn settle(&self, number: u64) {
        self.leave(|_| Note::Settle(number));
    }

    fn leave(&self, note: impl FnOnce(&mut Notes) -> Note) {
        let mut notes = lock(&self.notes);
        let note = note(&mut notes);
        if notes.waiting.len() >= MAX_NOTES && !matches!(note, Note::Settle(_)) {
            notes.lost += 1;
            drop(notes);
            return;
        }
        notes.waiting.push_back(note);
        if std::mem::take(&mut notes.sleeping) {
            drop(notes);
            self.changed.notify_one();
        }
    }

    /// Calls `callback` with the reason once the exchange is cancelled.
    pub(crate) fn watch_exchange(&self, exchange: Arc<Exchange>, callback: Py<PyAny>) {
        let first = {
            let mut watched = lock(&self.watched);
            watched.push((exchange, callback));
            watched.len() == 1
        };
        if first {
            // The thread may sleep without an end: it has to look from now on.
            lock(&self.notes).sleeping = false;
            self.changed.notify_one();
        }
    }

    /// Drives a streamed answer on a thread of its own: it may block, and its reactor must not.
    pub(crate) fn stream(&self, request: &Bound<'_, Request>, rest: Rest) -> PyResult<()> {
        let py = request.py();
        let request = request.clone().unbind();
        threads::start(py, "bartizan-stream", move |py| {
            let request = request.bind(py);
            if let Err(error) = stream::pump(request, rest) {
                request.get().context.failed(request, error);
            }
        })
        .map(drop)
    }

    /// Lets the thread end when everything is told.
    pub(crate) fn close(&self) {
        lock(&self.notes).closed = true;
        self.changed.notify_one();
    }

    /// The body of the thread.
    pub(crate) fn run(&self, py: Python<'_>, hooks: &Hooks) {
        loop {
            let (batch, lost, closed) = py.detach(|| self.next());
            // Before the notes: what ended an exchange is told before its connection's end.
            self.tell_cancelled(py, closed);
            self.tell(py, hooks, batch);
            if lost > 0 {
                let text = format!("{lost} events were lost: a hook or a log handler is too slow");
                log(py, "bartizan", "warning", &text);
            }
            if closed {
                return;
            }
        }
    }

    fn next(&self) -> (VecDeque<Note>, u64, bool) {
        let mut notes = lock(&self.notes);
        while notes.waiting.is_empty() && !notes.closed {
            notes.sleeping = true;
            let watching = !lock(&self.watched).is_empty();
            notes = if watching {
                self.changed.wait_timeout(notes, WATCH).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(notes).unwrap_or_else(PoisonError::into_inner)
            };
            if watching || !notes.sleeping {
                break;
            }
        }
        notes.sleeping = false;
        (std::mem::take(&mut notes.waiting), std::mem::take(&mut notes.lost), notes.closed)
    }

    fn tell_cancelled(&self, py: Python<'_>, last: bool) {
        let due = {
            let mut watched = lock(&self.watched);
            let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *watched)
                .into_iter()
                .partition(|(exchange, _)| exchange.cancelled().is_some() || exchange.outcome().is_some() || last);
            *watched = rest;
            due
        };
        for (exchange, callback) in due {
            // An exchange that ended well is never cancelled.
            if let Some(reason) = exchange.cancelled() {
                call(callback.bind(py), (reason.name(),));
            }
        }
    }

    /// Delivers in order: runs of one kind are one batch of their hook.
    fn tell(&self, py: Python<'_>, hooks: &Hooks, batch: VecDeque<Note>) {
        let mut run = Run::default();
        for note in batch {
            match note {
                Note::Connection(seq, record) => run.add(py, hooks, true, records::connection(py, seq, &record)),
                Note::RequestEnd(seq, record) => run.add(py, hooks, false, records::request_end(py, seq, &record)),
                Note::Log(record) => log(py, &record.target.replace("::", "."), level(&record), &record.text),
                Note::Failure(subject, error) => {
                    if let Ok(logger) = logger(py, "bartizan") {
                        let text = intern!(py, "the handler failed on %s %r");
                        log_failure(&logger, text.as_any(), subject, error);
                    }
                }
                Note::Settle(number) => self.waiters.settle(py, number),
            }
        }
        run.deliver(py, hooks);
    }
}

/// Events of one kind that follow each other.
#[derive(Default)]
struct Run<'py> {
    connections: bool,
    events: Vec<Bound<'py, PyAny>>,
}

impl<'py> Run<'py> {
    fn add(&mut self, py: Python<'py>, hooks: &Hooks, connections: bool, event: PyResult<Bound<'py, PyAny>>) {
        if self.connections != connections {
            self.deliver(py, hooks);
            self.connections = connections;
        }
        match event {
            Ok(event) => self.events.push(event),
            Err(error) => error.write_unraisable(py, None),
        }
    }

    fn deliver(&mut self, py: Python<'py>, hooks: &Hooks) {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return;
        }
        for hook in if self.connections { &hooks.connection } else { &hooks.request_end } {
            match PyList::new(py, &events) {
                Ok(list) => call(hook.bind(py), (list,)),
                Err(error) => error.write_unraisable(py, None),
            }
        }
    }
}

/// Calls one of the program's callbacks; what it raises is logged, and ends nothing.
fn call<'py>(callback: &Bound<'py, PyAny>, argument: impl pyo3::call::PyCallArgs<'py>) {
    let py = callback.py();
    if let Err(error) = callback.call1(argument)
        && let Ok(logger) = logger(py, "bartizan")
    {
        let name = callback.repr().map_or_else(|_| "?".into(), |repr| repr.to_string());
        log_failure(&logger, intern!(py, "a %s failed: %s").as_any(), ("callback".into(), name), error);
    }
}

fn level(record: &LogRecord) -> &'static str {
    match record.level {
        bartizan::LogLevel::Error => "error",
        bartizan::LogLevel::Warn => "warning",
        bartizan::LogLevel::Info => "info",
        bartizan::LogLevel::Debug => "debug",
    }
}

fn logger<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), (name,))
}

fn log(py: Python<'_>, name: &str, level: &str, text: &str) {
    if let Err(error) = logger(py, name).and_then(|logger| logger.call_method1(level, ("%s", text))) {
        error.write_unraisable(py, None);
    }
}
