//! Header items as a handler gives them, a mapping or pairs of str and bytes, turned into octets for the core. Which names and
//! octets are allowed there is the core's to say.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

/// Octets of a usual field: one allocation holds them all.
const TYPICAL: usize = 64;

/// Names and values, one behind the other in one buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    octets: Vec<u8>,
    /// Where each name and its value end.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    /// Reads `Mapping[str, str | bytes] | Iterable[tuple[str | bytes, str | bytes]]`.
    pub(crate) fn read(items: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut fields = Self::default();
        if let Ok(dict) = items.cast_exact::<PyDict>() {
            fields.ends.reserve(dict.len());
            fields.octets.reserve(dict.len() * TYPICAL);
            for (name, value) in dict.iter() {
                fields.push(&name, &value)?;
            }
            return Ok(fields);
        }
        let py = items.py();
        let pairs = match items.getattr_opt(intern!(py, "items"))? {
            Some(method) => method.call0()?,
            None => items.clone(),
        };
        for pair in pairs.try_iter()? {
            let pair = pair?;
            let (name, value) = if let Ok(pair) = pair.cast::<PyTuple>() {
                pair.extract()?
            } else if let Ok(pair) = pair.cast::<PyList>() {
                pair.to_tuple().extract()?
            } else {
                return Err(PyTypeError::new_err("header items are pairs of a name and a value"));
            };
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = (name, value);
            fields.push(&name, &value)?;
        }
        Ok(fields)
    }

    fn push(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        append(&mut self.octets, name)?;
        let name_end = self.octets.len();
        append(&mut self.octets, value)?;
        self.ends.push((name_end, self.octets.len()));
        Ok(())
    }

    /// Adds a field that we give by ourselves, unless the program gave one of this name.
    pub(crate) fn or_insert(&mut self, name: &[u8], value: &[u8]) {
        if self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return;
        }
        self.octets.extend_from_slice(name);
        let name_end = self.octets.len();
        self.octets.extend_from_slice(value);
        self.ends.push((name_end, self.octets.len()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.ends.iter().enumerate().map(|(index, &(name_end, end))| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before].1);
            (&self.octets[start..name_end], &self.octets[name_end..end])
        })
    }
}

/// Text goes out as Latin-1, as it comes in: a field value is octets (RFC 9110 §5.5).
fn append(octets: &mut Vec<u8>, text: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(text) = text.cast::<PyString>() {
        let text = text.to_str()?;
        if text.is_ascii() {
            octets.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for character in text.chars() {
            let octet = u8::try_from(u32::from(character))
                .map_err(|_| PyValueError::new_err(format!("{text:?} in a header field is not Latin-1")))?;
            octets.push(octet);
        }
        return Ok(());
    }
    let Ok(bytes) = text.cast::<PyBytes>() else {
        let kind = text.get_type().name()?;
        return Err(PyTypeError::new_err(format!("header names and values are str or bytes, not {kind}")));
    };
    octets.extend_from_slice(bytes.as_bytes());
    Ok(())
}
