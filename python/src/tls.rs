//! `Tls`: who the server is and what it negotiates, read and checked when it is made. The policies themselves are the core's.

use bartizan::Error;
use bartizan::tls::{ClientAuth, Identity, TICKET_KEY_LEN, Tls as Description};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use crate::errors::{self, ConfigError, TlsError};

/// Certificate, key and policy of a listener.
#[pyclass(frozen, module = "bartizan")]
pub(crate) struct Tls {
    description: Description,
}

impl Tls {
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }
}

#[pymethods]
impl Tls {
    #[new]
    #[pyo3(signature = (
        cert = None, key = None, *, password = None, policy = "intermediate", groups = None, suites = None,
        versions = None, alpn = None, client_auth = "off", client_ca = None, crl = None, server_names = None,
        ticket_keys = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of the binding surface")]
    fn new(
        py: Python<'_>,
        cert: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
        password: Option<&Bound<'_, PyAny>>,
        policy: &str,
        groups: Option<&Bound<'_, PyAny>>,
        suites: Option<&Bound<'_, PyAny>>,
        versions: Option<&Bound<'_, PyAny>>,
        alpn: Option<&Bound<'_, PyAny>>,
        client_auth: &str,
        client_ca: Option<&Bound<'_, PyAny>>,
        crl: Option<&Bound<'_, PyAny>>,
        server_names: Option<&Bound<'_, PyDict>>,
        ticket_keys: Option<Vec<Vec<u8>>>,
    ) -> PyResult<Self> {
        let mut faults = Faults::default();
        let mut tls = Description::new();
        faults.note(tls.policy(policy).map(drop));
        if let Some(list) = groups {
            faults.note(tls.groups(&joined(list)?).map(drop));
        }
        if let Some(list) = suites {
            faults.note(tls.suites(&joined(list)?).map(drop));
        }
        if let Some(list) = versions {
            faults.note(tls.versions(&joined(list)?).map(drop));
        }
        if let Some(list) = alpn {
            faults.note(tls.alpn(&joined(list)?).map(drop));
        }
        if let Some(cert) = cert {
            match (read_pem(cert, "cert")?, read_pem(key.unwrap_or(cert), "key")?) {
                (Ok(chain), Ok(key)) => {
                    let identity = match password.map(octets).transpose()? {
                        Some(password) => Identity::from_pem_with_password(&chain, &key, &password),
                        None => Identity::from_pem(&chain, &key),
                    };
                    faults.note(identity.and_then(|identity| tls.identity(None, identity).map(drop)));
                }
                (chain, key) => [chain.err(), key.err()].into_iter().flatten().for_each(|fault| faults.tls(fault)),
            }
        } else if key.is_some() {
            faults.tls("key: there is no cert that it belongs to".into());
        }
        match client_auth {
            "optional" | "required" => {
                let mode = if client_auth == "required" { ClientAuth::Required } else { ClientAuth::Optional };
                let mut pem = Vec::new();
                for (source, what) in [(client_ca, "client_ca"), (crl, "crl")] {
                    if let Some(source) = source {
                        match read_pem(source, what)? {
                            Ok(octets) => pem.extend([octets, b"\n".to_vec()].concat()),
                            Err(fault) => faults.tls(fault),
                        }
                    }
                }
                faults.note(tls.client_auth(mode, &pem).map(drop));
            }
            "off" => {}
            other => faults.texts.push(format!("client_auth = {other:?} is none of off, optional, required")),
        }
        if let Some(names) = server_names {
            for (name, other) in names.iter() {
                let (name, other): (String, Bound<'_, Self>) = (name.extract()?, other.extract()?);
                faults.note(tls.server_name(&name, &other.get().description).map(drop));
            }
        }
        if let Some(keys) = ticket_keys {
            match keys.iter().map(|key| key.as_slice().try_into()).collect::<Result<Vec<_>, _>>() {
                Ok(keys) => faults.note(tls.ticket_keys(&keys).map(drop)),
                Err(_) => faults.texts.push(format!("ticket_keys: each key has {TICKET_KEY_LEN} octets")),
            }
        }
        faults.raise(py)?;
        Ok(Self { description: tls })
    }

    /// A fresh identity that no client trusts unasked, for development.
    #[classmethod]
    #[pyo3(signature = (*names))]
    fn self_signed(_class: &Bound<'_, PyType>, py: Python<'_>, names: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let names = joined(names.as_any())?;
        let mut tls = Description::new();
        let identity = py.detach(|| Identity::self_signed(&names)).map_err(|error| errors::of_core(py, &error))?;
        tls.identity(None, identity).map_err(|error| errors::of_core(py, &error))?;
        let logger = py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), ("bartizan.tls",))?;
        logger.call_method1(intern!(py, "info"), ("a self-signed identity was made: for development only",))?;
        Ok(Self { description: tls })
    }
}

/// Everything that is wrong with a description.
#[derive(Default)]
struct Faults {
    texts: Vec<String>,
    /// A certificate or key among them: the class is `TlsError`.
    tls: bool,
}

impl Faults {
    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.tls |= error.kind() == bartizan::ErrorKind::Tls;
            self.texts.extend_from_slice(error.faults());
        }
    }

    fn tls(&mut self, fault: String) {
        self.tls = true;
        self.texts.push(fault);
    }

    fn raise(&self, py: Python<'_>) -> PyResult<()> {
        if self.texts.is_empty() {
            return Ok(());
        }
        Err(if self.tls {
            errors::of_faults::<TlsError>(py, &self.texts)
        } else {
            errors::of_faults::<ConfigError>(py, &self.texts)
        })
    }
}

/// A list of names as the core reads it; one str is a list already.
fn joined(list: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = list.cast::<PyString>() {
        return Ok(text.to_str()?.to_owned());
    }
    let items: Vec<String> = list.try_iter()?.map(|item| item?.extract()).collect::<PyResult<_>>()?;
    Ok(items.join(","))
}

fn octets(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match text.cast::<PyBytes>() {
        Ok(octets) => Ok(octets.as_bytes().to_vec()),
        Err(_) => Ok(text.extract::<String>()?.into_bytes()),
    }
}

/// PEM text from bytes, or the contents of a file; the inner error is a fault of the configuration.
fn read_pem(source: &Bound<'_, PyAny>, what: &str) -> PyResult<Result<Vec<u8>, String>> {
    if let Ok(text) = source.cast::<PyBytes>() {
        return Ok(Ok(text.as_bytes().to_vec()));
    }
    let path: std::path::PathBuf = source.extract()?;
    Ok(std::fs::read(&path).map_err(|error| format!("{what}: cannot read {}: {error}", path.display())))
}

/// The DER octets of each certificate.
pub(crate) fn certificates<'py>(py: Python<'py>, chain: &[impl AsRef<[u8]>]) -> PyResult<Bound<'py, PyTuple>> {
    let chain = PyList::new(py, chain.iter().map(|certificate| PyBytes::new(py, certificate.as_ref())))?;
    Ok(chain.to_tuple())
}
