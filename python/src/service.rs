//! The service thread of a server: the one place where hooks, cancel callbacks and log records reach Python. Reactors only leave
//! notes here, bounded and without a Python object in hand, and never wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bartizan::{ConnectionRecord, LogRecord, Reason, RequestRecord};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::answer::Rest;
use crate::context::{log_failure, log_handler_failure, logger};
use crate::records;
use crate::request::{Request, lock};
use crate::stream;
use crate::threads;
use crate::waiters::Waiters;

/// Most notes that wait; what comes on top is lost, which shows as a gap in `seq`.
const MAX_NOTES: usize = 64 * 1024;

/// Something for the service thread to tell the program.
pub(crate) enum Note {
    Connection(u64, Box<ConnectionRecord>),
    RequestEnd(u64, Box<RequestRecord>),
    Log(Box<LogRecord>),
    Failure((String, String), PyErr),
    /// A waiter's number.
    Settle(u64),
    /// The number of a watched exchange, and why it was cancelled; without a reason it ended well.
    Cancelled(u64, Option<Reason>),
}

/// The mailbox of the service thread.
pub(crate) struct Service {
    notes: Mutex<Notes>,
    changed: Condvar,
    watched: Mutex<HashMap<u64, Vec<Py<PyAny>>>>,
    next_watch: AtomicU64,
    /// Whether ended requests are told to the logger `bartizan.access`.
    access: bool,
    /// Observations that found no room, in all.
    lost: AtomicU64,
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
    pub(crate) fn new(access: bool) -> Arc<Self> {
        Arc::new(Self {
            access,
            lost: AtomicU64::new(0),
            notes: Mutex::default(),
            changed: Condvar::new(),
            watched: Mutex::default(),
            next_watch: AtomicU64::new(1),
            waiters: Waiters::new(),
        })
    }

    /// Observations that found no room, in all.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
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
        if notes.waiting.len() >= MAX_NOTES && !matches!(note, Note::Settle(_) | Note::Cancelled(..)) {
            notes.lost += 1;
            drop(notes);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        notes.waiting.push_back(note);
        if std::mem::take(&mut notes.sleeping) {
            drop(notes);
            self.changed.notify_one();
        }
    }

    /// Calls `callback` with the reason when the exchange is cancelled, unless it ends well first.
    pub(crate) fn watch(self: &Arc<Self>, request: &Request, callback: Py<PyAny>) {
        let mut known = lock(&request.watch);
        if let Some(number) = *known
            && let Some(callbacks) = lock(&self.watched).get_mut(&number)
        {
            callbacks.push(callback);
            return;
        }
        let number = self.next_watch.fetch_add(1, Ordering::Relaxed);
        lock(&self.watched).insert(number, vec![callback]);
        *known = Some(number);
        let mut hook = Watch { service: self.clone(), number, reason: request.exchange().cancelled() };
        // Refused where there was a hook before, or an answer: then it is dropped, and says what is known.
        let _ = request.act(|request| {
            request.on_cancel(Box::new(move |reason| {
                hook.reason = Some(reason);
                drop(hook);
            }))
        });
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
            notes = self.changed.wait(notes).unwrap_or_else(PoisonError::into_inner);
        }
        notes.sleeping = false;
        (std::mem::take(&mut notes.waiting), std::mem::take(&mut notes.lost), notes.closed)
    }

    fn tell_cancelled(&self, py: Python<'_>, number: u64, reason: Option<Reason>) {
        let callbacks = lock(&self.watched).remove(&number).unwrap_or_default();
        if let Some(reason) = reason {
            for callback in callbacks {
                call(callback.bind(py), (reason.name(),));
            }
        }
    }

    /// Delivers in order: runs of one kind are one batch of their hook.
    fn tell(&self, py: Python<'_>, hooks: &Hooks, batch: VecDeque<Note>) {
        let mut run = Run::default();
        for note in batch {
            match note {
                Note::Connection(seq, record) => {
                    run.add(py, hooks, true, records::connection(py, seq, &record))
                }
                Note::RequestEnd(seq, record) => {
                    let event = records::request_end(py, seq, &record);
                    if self.access {
                        log_access(py, &record, event.as_ref().ok());
                    }
                    if !hooks.request_end.is_empty() {
                        run.add(py, hooks, false, event);
                    }
                }
                Note::Log(record) => log(py, &record.target.replace("::", "."), level(&record), &record.text),
                Note::Failure(subject, error) => {
                    if let Ok(logger) = logger(py, "bartizan") {
                        log_handler_failure(&logger, subject, error);
                    }
                }
                Note::Settle(number) => self.waiters.settle(py, number),
                Note::Cancelled(number, reason) => {
                    run.deliver(py, hooks);
                    self.tell_cancelled(py, number, reason);
                }
            }
        }
        run.deliver(py, hooks);
    }
}

/// What the core holds of a watched exchange: when it is dropped, called or not, the service thread is told, and nothing of
/// Python's is touched on the reactor.
struct Watch {
    service: Arc<Service>,
    number: u64,
    reason: Option<Reason>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.service.leave(|_| Note::Cancelled(self.number, self.reason));
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

/// One line per request: `127.0.0.1:1234 "GET /" 200 13 0.4 ms`, and the reason if it did not end well. The whole record is the
/// attribute `event` of the log record.
fn log_access(py: Python<'_>, record: &RequestRecord, event: Option<&Bound<'_, PyAny>>) {
    let told = logger(py, "bartizan.access").and_then(|logger| {
        let extra = PyDict::new(py);
        extra.set_item("event", event)?;
        let options = PyDict::new(py);
        options.set_item("extra", extra)?;
        let status = if record.status == 0 { "-".to_owned() } else { record.status.to_string() };
        let millis = record.times.iter().sum::<Duration>().as_secs_f64() * 1e3;
        let ending = if record.reason == Reason::Complete { "" } else { record.reason.name() };
        let arguments = (
            intern!(py, "%s \"%s %s\" %s %d %.1f ms %s"),
            records::address(&record.connection.peer),
            shown(&record.method),
            shown(&record.target),
            status,
            record.bytes_out,
            millis,
            ending,
        );
        logger.call_method(intern!(py, "info"), arguments, Some(&options))
    });
    if let Err(error) = told {
        error.write_unraisable(py, None);
    }
}

/// Octets of a peer in a line of ours: nothing in them ends it.
fn shown(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

fn level(record: &LogRecord) -> &'static str {
    match record.level {
        bartizan::LogLevel::Error => "error",
        bartizan::LogLevel::Warn => "warning",
        bartizan::LogLevel::Info => "info",
        bartizan::LogLevel::Debug => "debug",
    }
}

fn log(py: Python<'_>, name: &str, level: &str, text: &str) {
    if let Err(error) = logger(py, name).and_then(|logger| logger.call_method1(level, ("%s", text))) {
        error.write_unraisable(py, None);
    }
}
