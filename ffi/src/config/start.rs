//! What a configuration becomes at the start: a description for core, whose hooks tell callbacks and queues, and who has the
//! program's user data from then on. What the program may write into it is `../config.rs`.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bartizan_core::{Dispatch, Event, Hooks, LogLevel, Queue as CoreQueue};

use super::{Config, Mode};
use crate::error::Fault;
use crate::given::UserData;
use crate::guard::lock;
use crate::log::LogCallback;
use crate::queue;
use crate::request::answer;
use crate::status::Code;

impl Config {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.home.check().map_err(|code| code.about("config"))
    }

    /// What core starts.
    pub(crate) fn describe(&self) -> Result<bartizan_core::Config, Fault> {
        let mut leases = Vec::new();
        let dispatch = match &self.handler {
            Some((mode, callback)) => {
                let call = callback.lease(&mut leases);
                let handler = Arc::new(move |request| answer(call, request));
                match mode {
                    Mode::Inline => Dispatch::Inline(handler),
                    Mode::Workers => Dispatch::Workers(handler),
                }
            }
            None if self.queues.is_empty() => {
                return Err(Fault::new(Code::State, "nobody answers: set a handler or add a queue"));
            }
            None => Dispatch::Queues(self.queues.iter().map(|(queue, _)| queue.clone()).collect()),
        };
        let (settings, listeners) = (self.settings.clone(), self.listeners.clone());
        Ok(bartizan_core::Config { settings, listeners, dispatch, hooks: self.hooks(leases) })
    }

    /// `leases` is the user data that the server has so far; what it has in all goes back when it has ended.
    fn hooks(&self, mut leases: Vec<Arc<UserData>>) -> Hooks {
        let mut hooks = Hooks { cancelled: Some(crate::ids::cancel), ..Hooks::default() };
        let queues = self.observers(queue::CONNECTION);
        let call = self.connection.as_ref().map(|callback| callback.lease(&mut leases));
        if !queues.is_empty() || call.is_some() {
            hooks.connection = Some(Arc::new(move |step| {
                queues.iter().for_each(|queue| queue.push(Event::Connection(Box::new(step.clone()))));
                call.iter().for_each(|call| call.call(step));
            }));
        }
        let queues = self.observers(queue::REQUEST_END);
        let call = self.request_end.as_ref().map(|callback| callback.lease(&mut leases));
        if !queues.is_empty() || call.is_some() {
            hooks.request_end = Some(Arc::new(move |end| {
                queues.iter().for_each(|queue| queue.push(Event::RequestEnd(Box::new(end.clone()))));
                call.iter().for_each(|call| call.call(end));
            }));
        }
        hooks.thread = self.thread.as_ref().map(|callback| -> Arc<dyn Fn(_, _) + Send + Sync> {
            let call = callback.lease(&mut leases);
            Arc::new(move |role, starts| call.call(role, starts))
        });
        let log = self.log_hook(&mut hooks);
        let leases = Mutex::new(leases);
        hooks.ended = Some(Arc::new(move || {
            let ended = (std::mem::take(&mut *lock(&leases)), lock(&log).take());
            // Outside the locks: this calls the program.
            drop(ended);
        }));
        hooks
    }

    /// Threads of the program may log after the server has ended, so this callback is asked for each time. Returns where.
    fn log_hook(&self, hooks: &mut Hooks) -> Arc<Mutex<Option<Arc<LogCallback>>>> {
        let queues = self.observers(queue::LOG);
        let callback = self.log.as_ref().map(|(_, callback)| callback.clone());
        let level = self.log.as_ref().map(|(level, _)| *level);
        // A queue has no level of its own: who drains it can read the record's.
        let most = if queues.is_empty() { level } else { Some(LogLevel::Debug) };
        let place = Arc::new(Mutex::new(callback));
        let shared = place.clone();
        if let Some(most) = most {
            let hook = move |line: &bartizan_core::LogRecord| {
                queues.iter().for_each(|queue| queue.push(Event::Log(Box::new(line.clone()), 0)));
                if level.is_some_and(|level| line.level <= level) {
                    let callback = lock(&shared).clone();
                    callback.iter().for_each(|callback| callback.call(line));
                }
            };
            hooks.log = Some((most, Arc::new(hook)));
        }
        place
    }

    fn observers(&self, event: u64) -> Vec<Arc<CoreQueue>> {
        self.queues.iter().filter(|(_, mask)| mask & event != 0).map(|(queue, _)| queue.clone()).collect()
    }

    /// A server runs: sockets are its own, and with queues user data goes back through the first of them.
    pub(crate) fn started(&self) {
        for socket in &self.sockets {
            if !socket.taken.swap(true, Ordering::Relaxed) {
                // SAFETY: bartizan_config_listen_fd made the program's descriptor ours at this moment; it is closed once.
                drop(unsafe { OwnedFd::from_raw_fd(socket.descriptor) });
            }
        }
        let Some((queue, _)) = self.queues.first() else { return };
        let given = [
            self.thread.as_ref().map(|callback| &callback.user_data),
            self.connection.as_ref().map(|callback| &callback.user_data),
            self.request_end.as_ref().map(|callback| &callback.user_data),
            self.log.as_ref().map(|(_, callback)| &callback.user_data),
        ];
        given.into_iter().flatten().for_each(|user_data| user_data.return_to(queue));
    }
}
