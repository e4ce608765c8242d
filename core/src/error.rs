//! What a call of the program's own got wrong, or what the system refused it: the errors of set-up. Those of calls on a request are
//! [`RequestError`](crate::RequestError); why a connection closed or a request ended is not an error but a
//! [`Reason`](crate::reason::Reason).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What kind of failure an [`Error`] is. Each has a status in C and an exception in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, policy, group or suite that does not exist, or a setting that this scope does not have.
    Option,
    /// A value out of range, malformed, or with a forbidden octet.
    Value,
    /// Not now: a queue that serves another server, a listener that has no TLS.
    State,
    /// A certificate, key, chain or trust list that cannot be used.
    Tls,
    /// The system refused to bind, listen or open.
    Io,
}

/// Why a call failed, in words that an operator can act upon.
///
/// One error may hold several faults: a configuration is told everything that is wrong with it at once.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    faults: Vec<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, fault: impl Into<String>) -> Self {
        Self { kind, faults: vec![fault.into()], source: None }
    }

    /// The same error, with what lies behind it: `source()` hands it on, so the fault need not repeat its
    /// text to keep an errno.
    pub(crate) fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Nothing if nothing failed; else one error of the first one's kind that tells each distinct fault once.
    pub(crate) fn all(errors: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let mut errors = errors.into_iter();
        let Some(mut all) = errors.next() else { return Ok(()) };
        for fault in errors.flat_map(|error| error.faults) {
            // A listener repeats the fault of the settings that it inherits.
            if !all.faults.contains(&fault) {
                all.faults.push(fault);
            }
        }
        Err(all)
    }

    /// What kind of failure it is; of several faults, the first one's.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Everything that is wrong, one sentence each; never empty.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_faults_are_told_once_each_and_in_order() {
        let errors = [("one", ErrorKind::Option), ("two", ErrorKind::Value), ("one", ErrorKind::Option)];
        let all = Error::all(errors.map(|(fault, kind)| Error::new(kind, fault))).unwrap_err();
        assert_eq!(all.kind(), ErrorKind::Option);
        assert_eq!(all.faults(), ["one", "two"]);
        assert_eq!(all.to_string(), "one; two");
        assert!(Error::all([]).is_ok());
    }

    #[test]
    fn the_cause_keeps_its_errno() {
        let refused = std::io::Error::from_raw_os_error(98);
        let error = Error::new(ErrorKind::Io, "cannot listen on 127.0.0.1:443").caused_by(refused);
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.and_then(std::io::Error::raw_os_error), Some(98));
    }
}
