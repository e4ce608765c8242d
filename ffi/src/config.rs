//! A server to be: settings, listeners, who answers, who watches. The program fills it in call by call; nothing is opened or
//! bound before the start, which takes copies (`server.rs`, `config/start.rs`).

mod start;

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bartizan_core::settings::{Level, Overrides, Settings};
use bartizan_core::tls::normalize_server_name;
use bartizan_core::{Bind, Listener, LogLevel, Queue as CoreQueue};

use crate::borrow::{c_text, object};
use crate::error::{Error, Fault};
use crate::fork::Home;
use crate::given::{DropFn, UserData};
use crate::guard;
use crate::hooks::{
    Callback, ConnectionFn, ConnectionRecord, RequestEndFn, RequestRecord, ThreadFn, ThreadFns,
};
use crate::log::{self, LogCallback, LogFn};
use crate::owned;
use crate::queue::{self, Queue};
use crate::request::RequestFn;
use crate::status::{Code, Status};
use crate::tls::Tls;
use crate::view::RequestView;

/// A server to be. Owned by the program; one thread at a time.
pub struct Config {
    home: Home,
    settings: Settings,
    listeners: Vec<Listener>,
    sockets: Vec<Socket>,
    handler: Option<(Mode, Callback<unsafe extern "C-unwind" fn(*mut c_void, *const RequestView) -> Status>)>,
    queues: Vec<(Arc<CoreQueue>, u64)>,
    thread: Option<Callback<ThreadFns>>,
    connection: Option<Callback<unsafe extern "C-unwind" fn(*mut c_void, *const ConnectionRecord)>>,
    request_end: Option<Callback<unsafe extern "C-unwind" fn(*mut c_void, *const RequestRecord)>>,
    log: Option<(LogLevel, Arc<LogCallback>)>,
}

#[derive(Clone, Copy)]
enum Mode {
    Inline,
    Workers,
}

/// A socket that the program made: its own until a server has started, when our duplicate takes over.
struct Socket {
    descriptor: RawFd,
    taken: AtomicBool,
}

/// Makes a configuration with the default settings, without listeners and without anybody who answers.
///
/// @own the program's.
/// @null takes no pointer.
/// @thread any.
/// @life until bartizan_config_free.
/// @err NULL after a bug of ours.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_new() -> Option<Box<Config>> {
    guard::value(None, || {
        Some(owned::give(Config {
            home: Home::here(),
            settings: Settings::default(),
            listeners: Vec::new(),
            sockets: Vec::new(),
            handler: None,
            queues: Vec::new(),
            thread: None,
            connection: None,
            request_end: None,
            log: None,
        }))
    })
}

/// Frees a configuration; servers that it has started go on. User data that no server uses is dropped.
///
/// @own takes the configuration.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life servers that it started go on.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_free(config: *mut Config) {
    guard::free(config, |config| config.home, drop);
}

/// Changes a configuration; on failure it is as before.
fn change<'c>(
    config: Option<&'c mut Config>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
    change: impl FnOnce(&'c mut Config) -> Result<(), Fault>,
) -> Status {
    guard::set_up(err, || {
        let config = config.ok_or_else(|| Code::Null.about("config"))?;
        config.home.check().map_err(|code| code.about("config"))?;
        change(config)
    })
}

impl Config {
    fn listener(&mut self, listener: u32) -> Result<&mut Listener, Fault> {
        let known = self.listeners.len();
        let found = self.listeners.get_mut(listener as usize);
        found.ok_or_else(|| {
            Fault::new(Code::Value, format!("listener {listener} does not exist: there are {known}"))
        })
    }

    fn listen(
        &mut self,
        bind: Bind,
        tls: Option<&Tls>,
        listener: Option<&mut MaybeUninit<u32>>,
    ) -> Result<(), Fault> {
        if let Some(tls) = tls {
            tls.home.check().map_err(|code| code.about("tls"))?;
        }
        let index = u32::try_from(self.listeners.len()).map_err(|_| Code::Limit.about("config"))?;
        self.listeners.push(Listener::new(bind, tls.map(|tls| tls.tls.clone())));
        if let Some(listener) = listener {
            listener.write(index);
        }
        Ok(())
    }
}

/// Sets a setting (BARTIZAN_..., see bartizan_settings.h) to a value in its unit, BARTIZAN_OFF or BARTIZAN_AUTO. Nothing is
/// clamped.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key (the message names the nearest), E_VALUE out of range.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_set(
    config: Option<&mut Config>,
    key: *const c_char,
    value: i64,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| Ok(config.settings.set(c_text("key", key)?, value)?))
}

/// As bartizan_config_set, from the form for people and files: "10s", "16KiB", "off", "auto".
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key (the message names the nearest), E_VALUE malformed or out of range.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_set_text(
    config: Option<&mut Config>,
    key: *const c_char,
    text: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        Ok(config.settings.set_text(c_text("key", key)?, crate::borrow::text("text", text, len)?)?)
    })
}

/// The value that a setting has now.
///
/// @own nothing moves.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_get(
    config: Option<&Config>,
    key: *const c_char,
    value: Option<&mut MaybeUninit<i64>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let config = config.ok_or_else(|| Code::Null.about("config"))?;
        config.home.check().map_err(|code| code.about("config"))?;
        let value = value.ok_or_else(|| Code::Null.about("value"))?;
        value.write(config.settings.get(c_text("key", key)?)?);
        Ok(())
    })
}

/// Adds a listener: "127.0.0.1:0", "[::]:8443", "unix:/path". `tls` is copied, NULL = cleartext. *listener, if not NULL,
/// receives its number, counted from 0. Nothing is bound before the start.
///
/// @own address and tls are copied.
/// @null allowed for tls, listener, err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed address.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_listen(
    config: Option<&mut Config>,
    address: *const c_char,
    tls: Option<&Tls>,
    listener: Option<&mut MaybeUninit<u32>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| config.listen(c_text("address", address)?.parse()?, tls, listener))
}

/// Adds a listener on a listening socket that the program made. The library's from a successful start on, which closes it
/// for the program; until then the program's.
///
/// @own the socket moves to the library at a successful start; tls is copied.
/// @null allowed for tls, listener, err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a negative one, E_IO if it is no open descriptor.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_listen_fd(
    config: Option<&mut Config>,
    socket: i64,
    tls: Option<&Tls>,
    listener: Option<&mut MaybeUninit<u32>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        let descriptor = RawFd::try_from(socket).ok().filter(|descriptor| *descriptor >= 0);
        let descriptor =
            descriptor.ok_or_else(|| Fault::new(Code::Value, format!("socket {socket} is no descriptor")))?;
        // SAFETY: not negative; it is borrowed for this one call, which fails if the program's number is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let ours = borrowed
            .try_clone_to_owned()
            .map_err(|error| Fault::new(Code::Io, format!("socket {socket} cannot be used: {error}")))?;
        config.listen(Bind::Descriptor(Arc::new(ours)), tls, listener)?;
        config.sockets.push(Socket { descriptor, taken: AtomicBool::new(false) });
        Ok(())
    })
}

/// Overrides a setting of level L for one listener, from its text form.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL; E_OPTION for an unknown key or one that a listener does not have; E_VALUE for an unknown listener or a
///   value out of range.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_listener_set_text(
    config: Option<&mut Config>,
    listener: u32,
    key: *const c_char,
    text: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        let (key, text) = (c_text("key", key)?, crate::borrow::text("text", text, len)?);
        Ok(config.listener(listener)?.settings.set_text(key, text)?)
    })
}

/// Overrides a setting of level N for one server name of a listener; "*.example" stands for one label.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE as for bartizan_config_listener_set_text; E_VALUE for a malformed name.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_server_name_set_text(
    config: Option<&mut Config>,
    listener: u32,
    server_name: *const c_char,
    key: *const c_char,
    text: *const c_char,
    len: usize,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        let name = String::from(normalize_server_name(c_text("server_name", server_name)?)?);
        let (key, text) = (c_text("key", key)?, crate::borrow::text("text", text, len)?);
        let names = &mut config.listener(listener)?.server_names;
        if let Some((_, overrides)) = names.iter_mut().find(|(known, _)| *known == name) {
            return Ok(overrides.set_text(key, text)?);
        }
        let mut overrides = Overrides::new(Level::ServerName);
        overrides.set_text(key, text)?;
        names.push((name, overrides));
        Ok(())
    })
}

/// Adds a network ("10.0.0.0/8", "2001:db8::/32", one address) whose PROXY headers a listener believes; repeatable. With
/// proxy_protocol on and none given the start is refused.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_trust_proxy(
    config: Option<&mut Config>,
    listener: u32,
    cidr: *const c_char,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        let network = c_text("cidr", cidr)?.parse()?;
        config.listener(listener)?.trust_proxy.push(network);
        Ok(())
    })
}

/// Says who answers: `fn`, called on the reactor (BARTIZAN_MODE_INLINE: must not block) or on a worker thread
/// (BARTIZAN_MODE_WORKERS), concurrently. A handler that was set before is replaced.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL, E_VALUE for an unknown mode, E_STATE with queues: a handler or queues, not both.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_handler(
    config: Option<&mut Config>,
    mode: u32,
    r#fn: RequestFn,
    user_data: *mut c_void,
    drop: DropFn,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    change(config, err, |config| {
        let function = r#fn.ok_or_else(|| Code::Null.about("fn"))?;
        let mode = match mode {
            1 => Mode::Inline,
            2 => Mode::Workers,
            _ => return Err(Fault::new(Code::Value, format!("mode {mode} is none of BARTIZAN_MODE_*"))),
        };
        if !config.queues.is_empty() {
            return Err(Fault::new(Code::State, "queues answer already: a handler or queues, not both"));
        }
        config.handler = Some((mode, Callback { function, user_data: Arc::new(user_data) }));
        Ok(())
    })
}

/// Adds a completion queue that requests go to, in turn with the others; repeatable. `event_mask` adds 1 <<
/// BARTIZAN_EV_CONNECTION, 1 << BARTIZAN_EV_LOG, 1 << BARTIZAN_EV_REQUEST_END: each queue that asks for them gets them all.
/// A queue serves one server, and stays the program's.
///
/// @own the queue stays the program's.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life the queue outlives the configuration.
/// @err E_NULL, E_VALUE for an unknown bit, E_STATE with a handler or a queue that was added already.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_queue(
    config: Option<&mut Config>,
    queue: *mut Queue,
    event_mask: u64,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    change(config, err, |config| {
        let queue = object(queue).map_err(|code| code.about("queue"))?;
        queue.home.check().map_err(|code| code.about("queue"))?;
        if event_mask & !queue::KNOWN_EVENTS != 0 {
            return Err(Fault::new(Code::Value, format!("event_mask {event_mask:#x} holds unknown events")));
        }
        if config.handler.is_some() {
            return Err(Fault::new(Code::State, "a handler answers already: a handler or queues, not both"));
        }
        if config.queues.iter().any(|(known, _)| Arc::ptr_eq(known, &queue.core)) {
            return Err(Fault::new(Code::State, "this queue was added already"));
        }
        config.queues.push((queue.core.clone(), event_mask));
        Ok(())
    })
}

/// Calls `start` on each thread of the library as it starts and `stop` as it ends; either may be NULL, not both. For
/// virtual machines that a thread attaches to.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for one of start and stop, user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_thread_hooks(
    config: Option<&mut Config>,
    start: ThreadFn,
    stop: ThreadFn,
    user_data: *mut c_void,
    drop: DropFn,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    change(config, err, |config| {
        if start.is_none() && stop.is_none() {
            return Err(Code::Null.about("start"));
        }
        config.thread = Some(Callback { function: (start, stop), user_data: Arc::new(user_data) });
        Ok(())
    })
}

/// Calls `fn` for each phase that a connection enters, and for its close: per connection in order, never concurrently.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_on_connection(
    config: Option<&mut Config>,
    r#fn: ConnectionFn,
    user_data: *mut c_void,
    drop: DropFn,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    change(config, err, |config| {
        let function = r#fn.ok_or_else(|| Code::Null.about("fn"))?;
        config.connection = Some(Callback { function, user_data: Arc::new(user_data) });
        Ok(())
    })
}

/// Calls `fn` once per request, when it ended.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_on_request_end(
    config: Option<&mut Config>,
    r#fn: RequestEndFn,
    user_data: *mut c_void,
    drop: DropFn,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    change(config, err, |config| {
        let function = r#fn.ok_or_else(|| Code::Null.about("fn"))?;
        config.request_end = Some(Callback { function, user_data: Arc::new(user_data) });
        Ok(())
    })
}

/// Calls `fn` for log records up to `max_level` (BARTIZAN_LOG_*), from any thread, concurrently.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL, E_VALUE for an unknown level.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_config_on_log(
    config: Option<&mut Config>,
    max_level: u32,
    r#fn: LogFn,
    user_data: *mut c_void,
    drop: DropFn,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    change(config, err, |config| {
        let function = r#fn.ok_or_else(|| Code::Null.about("fn"))?;
        let level = log::level(max_level).ok_or_else(|| {
            Fault::new(Code::Value, format!("max_level {max_level} is none of BARTIZAN_LOG_*"))
        })?;
        let callback = Callback { function, user_data: Arc::new(user_data) };
        config.log = Some((level, Arc::new(callback)));
        Ok(())
    })
}
