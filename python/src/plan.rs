//! What a program describes before the start: listeners, settings, handler, hooks. All of it is checked at once, and every fault
//! told; nothing here binds or runs.

use bartizan::Listener as CoreListener;
use bartizan::settings::Settings;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};

use crate::errors::{self, ConfigError};
use crate::listener::{Listener, networks, no_bind, read_bind};
use crate::service::Hooks;
use crate::settings::{self, Value};
use crate::tls::Tls;

/// A server to be started.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) listeners: Vec<CoreListener>,
    pub(crate) handler: Option<Py<PyAny>>,
    pub(crate) inline: bool,
    pub(crate) hooks: Hooks,
}

impl Plan {
    /// Reads the arguments of `Server`.
    pub(crate) fn read(
        py: Python<'_>,
        bind: Option<&Bound<'_, PyAny>>,
        handler: Option<Py<PyAny>>,
        mode: &str,
        tls: Option<&Bound<'_, Tls>>,
        trust_proxy: &[String],
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut faults = Vec::new();
        let mut own = Settings::default();
        settings::apply(settings, &mut faults, |key, value| {
            let set = match value {
                Value::Number(number) => own.set(key, number),
                Value::Text(text) => own.set_text(key, &text),
            };
            set.map_err(|error| error.faults().to_vec())
        })?;
        let inline = is_inline(mode).unwrap_or_else(|fault| {
            faults.push(fault);
            false
        });
        let trust_proxy = networks(trust_proxy, &mut faults);
        let mut listeners = Vec::new();
        let default = PyString::new(py, "127.0.0.1:0").into_any();
        for bind in each_bind(bind.unwrap_or(&default))? {
            if let Ok(listener) = bind.cast::<Listener>() {
                listeners.push(listener.get().description().clone());
            } else if let Some(bind) = read_bind(&bind, &mut faults)? {
                let tls = tls.map(|tls| tls.get().description().clone());
                listeners
                    .push(CoreListener { trust_proxy: trust_proxy.clone(), ..CoreListener::new(bind, tls) });
            }
        }
        if !faults.is_empty() {
            return Err(errors::of_faults::<ConfigError>(py, &faults));
        }
        Ok(Self { settings: own, listeners, handler, inline, hooks: Hooks::default() })
    }

    /// The same again, for a start that may fail.
    pub(crate) fn copy(&self, py: Python<'_>) -> Self {
        let copy = |hooks: &[Py<PyAny>]| hooks.iter().map(|hook| hook.clone_ref(py)).collect();
        Self {
            settings: self.settings.clone(),
            listeners: self.listeners.clone(),
            handler: self.handler.as_ref().map(|handler| handler.clone_ref(py)),
            inline: self.inline,
            hooks: Hooks {
                connection: copy(&self.hooks.connection),
                request_end: copy(&self.hooks.request_end),
            },
        }
    }
}

/// Whether a mode is `inline`; the fault if it is none.
pub(crate) fn is_inline(mode: &str) -> Result<bool, String> {
    match mode {
        "workers" => Ok(false),
        "inline" => Ok(true),
        other => Err(format!("mode = {other:?} is none of \"workers\", \"inline\"")),
    }
}

fn each_bind<'py>(bind: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if bind.is_instance_of::<PyString>()
        || bind.is_instance_of::<PyInt>()
        || bind.is_instance_of::<Listener>()
    {
        return Ok(vec![bind.clone()]);
    }
    if bind.hasattr(intern!(bind.py(), "__iter__"))? {
        return bind.try_iter()?.collect();
    }
    Err(no_bind())
}
