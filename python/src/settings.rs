//! Settings between Python and the core's table: keyword values in (seconds, sizes, text, None), rows and effective values out.
//! Ranges, defaults and texts are the table's; only the spelling of a value is decided here.

use bartizan::settings::{AUTO, OFF, Setting, Settings, TABLE, Unit, setting};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyTuple};

/// A value as the core takes it.
pub(crate) enum Value {
    /// In the row's unit, [`OFF`] included.
    Number(i64),
    /// In the text form.
    Text(String),
}

/// Hands every keyword to `set`, and gathers what is wrong with each.
pub(crate) fn apply(
    keywords: Option<&Bound<'_, PyDict>>,
    faults: &mut Vec<String>,
    mut set: impl FnMut(&str, Value) -> Result<(), Vec<String>>,
) -> PyResult<()> {
    let Some(keywords) = keywords else { return Ok(()) };
    for (key, value) in keywords.iter() {
        let key: String = key.extract()?;
        // An unknown key goes through as well: the core names the nearest one.
        let value = match setting(&key) {
            Some(row) => read(row, &value)?,
            None => Ok(Value::Number(0)),
        };
        match value {
            Ok(value) => {
                if let Err(more) = set(&key, value) {
                    faults.extend(more);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok(())
}

/// The value for a row, or the fault.
fn read(row: &Setting, value: &Bound<'_, PyAny>) -> PyResult<Result<Value, String>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Ok(Value::Text(text.to_str()?.to_owned())));
    }
    let wrong = || -> PyResult<Result<Value, String>> {
        let form = match row.unit {
            Unit::Millis => "seconds, a timedelta or text such as \"10s\"",
            Unit::Bytes | Unit::Rate => "an int or text such as \"16KiB\"",
            Unit::Count => "an int",
            Unit::Switch => "True or False",
            Unit::Choice => "text",
        };
        Ok(Err(format!("{} = {} is not {form}: {}", row.key, value.repr()?, row.allowed())))
    };
    if value.is_none() {
        return if row.off { Ok(Ok(Value::Number(OFF))) } else { wrong() };
    }
    if let Ok(on) = value.cast::<PyBool>() {
        return if row.unit == Unit::Switch { Ok(Ok(Value::Number(on.is_true().into()))) } else { wrong() };
    }
    let number = match row.unit {
        Unit::Millis => match seconds(value)? {
            Some(seconds) => (seconds * 1000.0).round(),
            None => return wrong(),
        },
        Unit::Bytes | Unit::Rate | Unit::Count if value.is_instance_of::<PyInt>() => {
            // What does not fit is out of every range.
            value.extract::<i64>().map_or(f64::INFINITY, |number| number as f64)
        }
        _ => return wrong(),
    };
    // -1 and -2 mean off and auto inside the core: here they are just numbers out of range.
    if !(0.0..9e15).contains(&number) {
        return Ok(Err(format!("{} = {} is out of range: {}", row.key, value.repr()?, row.allowed())));
    }
    Ok(Ok(Value::Number(number as i64)))
}

/// A duration in seconds: int, float or timedelta.
pub(crate) fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if value.is_instance_of::<PyBool>() {
        return Ok(None);
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(Some(value.extract().unwrap_or(f64::INFINITY)));
    }
    match value.getattr_opt(intern!(value.py(), "total_seconds"))? {
        Some(method) => Ok(method.call0()?.extract().ok()),
        None => Ok(None),
    }
}

/// Every row, as the fields of `Setting`.
#[pyfunction]
pub(crate) fn rows(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let rows = TABLE.iter().map(|row| {
        let levels: String = row.levels.iter().map(|level| level.letter()).collect();
        let fields = (
            row.key,
            row.unit.name(),
            mark(py, row.default_value)?,
            row.min,
            row.max,
            PyTuple::new(py, row.choices)?,
            row.off,
            row.auto,
            levels,
            row.doc,
        );
        fields.into_pyobject(py)
    });
    PyTuple::new(py, rows.collect::<PyResult<Vec<_>>>()?)
}

/// The values in force, each in its row's unit; a choice by its name.
pub(crate) fn effective<'py>(py: Python<'py>, settings: &Settings) -> PyResult<Bound<'py, PyDict>> {
    let values = PyDict::new(py);
    for row in TABLE {
        let Ok(value) = settings.get(row.key) else { continue };
        match usize::try_from(value).ok().and_then(|index| row.choices.get(index)) {
            Some(choice) => values.set_item(row.key, *choice)?,
            None => values.set_item(row.key, mark(py, value)?)?,
        }
    }
    Ok(values)
}

fn mark(py: Python<'_>, value: i64) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        OFF => py.None().into_bound(py),
        AUTO => PyString::intern(py, "auto").into_any(),
        number => number.into_pyobject(py)?.into_any(),
    })
}
