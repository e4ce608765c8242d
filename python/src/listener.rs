//! `Listener`: one place to listen, with its own TLS, settings and trusted proxies.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use bartizan::settings::{Level, Overrides};
use bartizan::tls::normalize_server_name;
use bartizan::{Bind, Cidr, Listener as Description};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyMapping};

use crate::errors::{self, ConfigError};
use crate::settings::{self, Value};
use crate::tls::Tls;

/// Where to listen: "host:port", "unix:/path" or a descriptor.
#[pyclass(frozen, module = "bartizan")]
pub(crate) struct Listener {
    description: Description,
}

impl Listener {
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (bind, *, tls = None, trust_proxy = Vec::new(), server_names = None, **settings))]
    fn new(
        py: Python<'_>,
        bind: &Bound<'_, PyAny>,
        tls: Option<&Bound<'_, Tls>>,
        trust_proxy: Vec<String>,
        server_names: Option<&Bound<'_, PyMapping>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut faults = Vec::new();
        let overrides = overrides(Level::Listener, settings, &mut faults)?;
        let trust_proxy = networks(&trust_proxy, &mut faults);
        let mut names = Vec::new();
        for pair in server_names.map(|names| names.items()).transpose()?.into_iter().flatten() {
            let (name, values): (String, Bound<'_, PyMapping>) = pair.extract()?;
            if let Err(error) = normalize_server_name(&name) {
                faults.extend_from_slice(error.faults());
            }
            let given = PyDict::new(py);
            given.update(&values)?;
            names.push((name, self::overrides(Level::ServerName, Some(&given), &mut faults)?));
        }
        let bind = read_bind(bind, &mut faults)?;
        match bind {
            Some(bind) if faults.is_empty() => {
                let tls = tls.map(|tls| tls.get().description().clone());
                let description = Description {
                    settings: overrides,
                    server_names: names,
                    trust_proxy,
                    ..Description::new(bind, tls)
                };
                Ok(Self { description })
            }
            _ => Err(errors::of_faults::<ConfigError>(py, &faults)),
        }
    }
}

/// Where a server or a listener is to listen; `None` after a fault.
pub(crate) fn read_bind(bind: &Bound<'_, PyAny>, faults: &mut Vec<String>) -> PyResult<Option<Bind>> {
    if bind.is_instance_of::<PyInt>() && !bind.is_instance_of::<PyBool>() {
        return descriptor(bind).map(|owned| Some(Bind::Descriptor(Arc::new(owned))));
    }
    let text: &str = bind.extract().map_err(|_| no_bind())?;
    match text.parse() {
        Ok(bind) => Ok(Some(bind)),
        Err(error) => {
            faults.extend_from_slice(bartizan::Error::faults(&error));
            Ok(None)
        }
    }
}

/// For what is no place to listen, nor a list of them.
pub(crate) fn no_bind() -> PyErr {
    PyTypeError::new_err("bind is \"host:port\", \"unix:/path\", a descriptor, a Listener or a list of these")
}

/// A duplicate: the program's socket object closes its own descriptor whenever it is collected.
fn descriptor(number: &Bound<'_, PyAny>) -> PyResult<OwnedFd> {
    let py = number.py();
    let copy = py.import(intern!(py, "os"))?.call_method1(intern!(py, "dup"), (number,));
    let copy: i32 = copy.map_err(|error| errors::of_descriptor(number, error))?.extract()?;
    // SAFETY: os.dup has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

pub(crate) fn networks(texts: &[String], faults: &mut Vec<String>) -> Vec<Cidr> {
    let mut networks = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(error) => faults.extend_from_slice(bartizan::Error::faults(&error)),
        }
    }
    networks
}

fn overrides(
    level: Level,
    values: Option<&Bound<'_, PyDict>>,
    faults: &mut Vec<String>,
) -> PyResult<Overrides> {
    let mut overrides = Overrides::new(level);
    settings::apply(values, faults, |key, value| {
        let set = match value {
            Value::Number(number) => overrides.set(key, number),
            Value::Text(text) => overrides.set_text(key, &text),
        };
        set.map_err(|error| error.faults().to_vec())
    })?;
    Ok(overrides)
}
