//! `Tls`: who the server is and what it negotiates, read and checked when it is made. The policies themselves are the core's.

use bartizan::Error;
use bartizan::tls::{ClientAuth, Identity, TICKET_KEY_LEN, Tls as Description};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMapping, PyTuple, PyType};

use crate::errors::{self, TlsError};

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
        groups: Option<Names>,
        suites: Option<Names>,
        versions: Option<Names>,
        alpn: Option<Names>,
        client_auth: &str,
        client_ca: Option<&Bound<'_, PyAny>>,
        crl: Option<&Bound<'_, PyAny>>,
        server_names: Option<&Bound<'_, PyMapping>>,
        ticket_keys: Option<Vec<Vec<u8>>>,
    ) -> PyResult<Self> {
        let mut builder = Builder::new(policy);
        builder.lists(groups, suites, versions, alpn);
        builder.identity(cert, key, password)?;
        builder.clients(client_auth, client_ca, crl)?;
        builder.names(server_names)?;
        builder.tickets(ticket_keys);
        builder.finish(py)
    }

    /// A fresh identity that no client trusts unasked, for development; with the keywords of the constructor.
    #[classmethod]
    #[pyo3(signature = (
        *names, policy = "intermediate", groups = None, suites = None, versions = None, alpn = None,
        client_auth = "off", client_ca = None, crl = None, server_names = None, ticket_keys = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of the binding surface")]
    fn self_signed(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        names: &Bound<'_, PyTuple>,
        policy: &str,
        groups: Option<Names>,
        suites: Option<Names>,
        versions: Option<Names>,
        alpn: Option<Names>,
        client_auth: &str,
        client_ca: Option<&Bound<'_, PyAny>>,
        crl: Option<&Bound<'_, PyAny>>,
        server_names: Option<&Bound<'_, PyMapping>>,
        ticket_keys: Option<Vec<Vec<u8>>>,
    ) -> PyResult<Self> {
        let names = names.extract::<Vec<String>>()?;
        // None mean those of development; one that is empty is a mistake, as it is among others.
        let names = if names == [""] { ",".to_owned() } else { names.join(",") };
        let mut builder = Builder::new(policy);
        builder.lists(groups, suites, versions, alpn);
        let identity = py.detach(|| Identity::self_signed(&names));
        builder.note(|tls| tls.identity(None, identity?).map(drop));
        builder.clients(client_auth, client_ca, crl)?;
        builder.names(server_names)?;
        builder.tickets(ticket_keys);
        builder.finish(py)
    }
}

/// A list of names; one text is a list already.
#[derive(FromPyObject)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn joined(self) -> String {
        match self {
            Self::One(list) => list,
            Self::Many(names) => names.join(","),
        }
    }
}

/// A description on the way, and everything that is wrong with it.
struct Builder {
    tls: Description,
    faults: Vec<String>,
}

impl Builder {
    fn new(policy: &str) -> Self {
        let mut builder = Self { tls: Description::new(), faults: Vec::new() };
        builder.note(|tls| tls.policy(policy).map(drop));
        builder
    }

    fn note(&mut self, set: impl FnOnce(&mut Description) -> Result<(), Error>) {
        if let Err(error) = set(&mut self.tls) {
            self.faults.extend_from_slice(error.faults());
        }
    }

    fn lists(
        &mut self,
        groups: Option<Names>,
        suites: Option<Names>,
        versions: Option<Names>,
        alpn: Option<Names>,
    ) {
        if let Some(list) = groups {
            self.note(|tls| tls.groups(&list.joined()).map(drop));
        }
        if let Some(list) = suites {
            self.note(|tls| tls.suites(&list.joined()).map(drop));
        }
        if let Some(list) = versions {
            self.note(|tls| tls.versions(&list.joined()).map(drop));
        }
        if let Some(list) = alpn {
            self.note(|tls| tls.alpn(&list.joined()).map(drop));
        }
    }

    fn identity(
        &mut self,
        cert: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
        password: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Some(cert) = cert else {
            if key.is_some() {
                self.faults.push("key: there is no cert that it belongs to".into());
            }
            return Ok(());
        };
        let password = password.map(octets).transpose()?;
        match (read_pem(cert, "cert")?, read_pem(key.unwrap_or(cert), "key")?) {
            (Ok(chain), Ok(key)) => self.note(|tls| {
                let identity = match password {
                    Some(password) => Identity::from_pem_with_password(&chain, &key, &password),
                    None => Identity::from_pem(&chain, &key),
                };
                tls.identity(None, identity?).map(drop)
            }),
            (chain, key) => {
                [chain.err(), key.err()].into_iter().flatten().for_each(|fault| self.faults.push(fault))
            }
        }
        Ok(())
    }

    fn clients(
        &mut self,
        mode: &str,
        ca: Option<&Bound<'_, PyAny>>,
        crl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mode = match mode {
            "off" => return Ok(()),
            "optional" => ClientAuth::Optional,
            "required" => ClientAuth::Required,
            other => {
                self.faults.push(format!("client_auth = {other:?} is none of off, optional, required"));
                return Ok(());
            }
        };
        let mut pem = Vec::new();
        for (source, what) in [(ca, "client_ca"), (crl, "crl")] {
            let Some(source) = source else { continue };
            match read_pem(source, what)? {
                // Read as one text with the CAs, where nobody would miss it: a check for revocation that does nothing.
                Ok(octets) if what == "crl" && !holds_list(&octets) => {
                    self.faults.push("crl: there is no PEM block X509 CRL in it".into());
                }
                Ok(octets) => pem.extend([octets, b"\n".to_vec()].concat()),
                Err(fault) => self.faults.push(fault),
            }
        }
        self.note(|tls| tls.client_auth(mode, &pem).map(drop));
        Ok(())
    }

    fn names(&mut self, names: Option<&Bound<'_, PyMapping>>) -> PyResult<()> {
        let Some(names) = names else { return Ok(()) };
        for pair in names.items()? {
            let (name, other): (String, Bound<'_, Tls>) = pair.extract()?;
            self.note(|tls| tls.server_name(&name, &other.get().description).map(drop));
        }
        Ok(())
    }

    fn tickets(&mut self, keys: Option<Vec<Vec<u8>>>) {
        let Some(keys) = keys else { return };
        match keys.iter().map(|key| key.as_slice().try_into()).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => self.note(|tls| tls.ticket_keys(&keys).map(drop)),
            Err(_) => self.faults.push(format!("ticket_keys: each key has {TICKET_KEY_LEN} octets")),
        }
    }

    fn finish(self, py: Python<'_>) -> PyResult<Tls> {
        if self.faults.is_empty() {
            return Ok(Tls { description: self.tls });
        }
        Err(errors::of_faults::<TlsError>(py, &self.faults))
    }
}

fn holds_list(pem: &[u8]) -> bool {
    let begin = b"-----BEGIN X509 CRL-----";
    pem.windows(begin.len()).any(|window| window == begin)
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
pub(crate) fn certificates<'py>(
    py: Python<'py>,
    chain: &[impl AsRef<[u8]>],
) -> PyResult<Bound<'py, PyTuple>> {
    let chain = PyList::new(py, chain.iter().map(|certificate| PyBytes::new(py, certificate.as_ref())))?;
    Ok(chain.to_tuple())
}
