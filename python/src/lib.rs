//! The extension module `bartizan._bartizan`: the wheel's classes over the core. One file per class; what has to be Python (base
//! classes of errors, coroutines, signal handlers) stands in `python/bartizan`.
//!
//! Rules that hold everywhere: no thread of the core attaches to the interpreter except in `inline.rs`; nothing here waits
//! while attached; no lock is held while Python runs.

mod answer;
mod content;
mod context;
mod deferred;
mod errors;
mod event_loop;
mod fields;
mod headers;
mod inline;
mod launch;
mod listener;
mod plan;
mod records;
mod request;
mod response;
mod running;
mod server;
mod service;
mod settings;
mod stream;
mod threads;
mod tls;
mod tls_info;
mod waiters;
mod workers;

/// The classes behind the package.
#[pyo3::pymodule(gil_used = false)]
mod _bartizan {
    #[pymodule_export]
    use crate::deferred::Deferred;
    #[pymodule_export]
    use crate::event_loop::{Source, Stream};
    #[pymodule_export]
    use crate::headers::Headers;
    #[pymodule_export]
    use crate::listener::Listener;
    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::response::Response;
    #[pymodule_export]
    use crate::running::stop_all;
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::settings::rows;
    #[pymodule_export]
    use crate::tls::Tls;
    #[pymodule_export]
    use crate::tls_info::TlsInfo;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // The interpreter's stderr is the program's. This module has its own copy of std, so that every panic is ours: it is
        // caught, and told with its place in the log or as an exception.
        std::panic::set_hook(Box::new(|panic| bartizan::note_panic(panic.location())));
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
