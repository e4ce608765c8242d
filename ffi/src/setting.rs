//! The settings list for C: one structure per row, whose texts are static. The rows themselves are core's.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::OnceLock;

use bartizan_core::settings::{self, Level};

use crate::borrow::sized;
use crate::guard;
use crate::status::{Code, OK, Status, c_string};

/// One row of the settings list. The caller fills struct_size in; the texts are static.
#[repr(C)]
#[derive(Debug)]
pub struct Setting {
    /// Set by the caller to the octets of the structure that it was compiled with.
    pub struct_size: u32,
    /// 1 = OFF allowed, 2 = AUTO allowed, 4 = per listener, 8 = per server name, 16 = per request.
    pub flags: u32,
    /// The name, the same in every language.
    pub key: *const c_char,
    /// "ms" "bytes" "count" "bytes/s" "switch" "choice".
    pub unit: *const c_char,
    /// The names of a choice's values from 0, comma separated; NULL for every other unit.
    pub choices: *const c_char,
    /// What it bounds; what it costs, or which attack it stops; what the peer sees.
    pub doc: *const c_char,
    /// May be BARTIZAN_OFF or BARTIZAN_AUTO.
    pub default_value: i64,
    /// The smallest value.
    pub min_value: i64,
    /// The largest value.
    pub max_value: i64,
}

/// The texts of one row as C reads them.
struct Texts {
    key: CString,
    unit: CString,
    choices: Option<CString>,
    doc: CString,
}

fn texts(index: usize) -> Option<&'static Texts> {
    static TEXTS: OnceLock<Vec<Texts>> = OnceLock::new();
    let all = TEXTS.get_or_init(|| {
        let row = |row: &settings::Setting| Texts {
            key: c_string(row.key),
            unit: c_string(row.unit.name()),
            choices: (!row.choices.is_empty()).then(|| c_string(row.choices.join(","))),
            doc: c_string(row.doc),
        };
        settings::TABLE.iter().map(row).collect()
    });
    all.get(index)
}

fn flags(row: &settings::Setting) -> u32 {
    let levels = row.levels.iter().map(|level| match level {
        Level::Listener => 4,
        Level::ServerName => 8,
        Level::Request => 16,
    });
    u32::from(row.off) | u32::from(row.auto) << 1 | levels.fold(0, |flags, level| flags | level)
}

/// Describes the setting at `index`, counted from 0 in the order in which a connection meets them: read on until E_VALUE.
/// The caller sets out->struct_size first; a larger one than this library's is fine if the tail is zero, else E_STRUCT. The
/// texts are static.
///
/// @own the structure is the program's, its texts are the library's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life the texts: for ever.
/// @err E_NULL, E_STRUCT, E_VALUE past the end.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_setting_at(index: usize, out: *mut Setting) -> Status {
    guard::status(|| {
        let size = size_of_setting(out)?;
        let out = sized(out, size)?;
        let (row, texts) = settings::TABLE.get(index).zip(texts(index)).ok_or(Code::Value)?;
        *out = Setting {
            struct_size: out.struct_size,
            flags: flags(row),
            key: texts.key.as_ptr(),
            unit: texts.unit.as_ptr(),
            choices: texts.choices.as_ref().map_or(ptr::null(), |choices| choices.as_ptr()),
            doc: texts.doc.as_ptr(),
            default_value: row.default_value,
            min_value: row.min,
            max_value: row.max,
        };
        Ok(OK)
    })
}

/// What the caller wrote into struct_size: all of a caller's structure that is known to be there.
fn size_of_setting(out: *const Setting) -> Result<usize, Code> {
    Ok(crate::borrow::array(out.cast::<u32>(), 1)?[0] as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn blank() -> Setting {
        Setting {
            struct_size: size_of::<Setting>() as u32,
            flags: 0,
            key: ptr::null(),
            unit: ptr::null(),
            choices: ptr::null(),
            doc: ptr::null(),
            default_value: 0,
            min_value: 0,
            max_value: 0,
        }
    }

    #[test]
    fn every_row_is_shown_once_and_then_no_more() {
        let mut setting = blank();
        for (index, row) in settings::TABLE.iter().enumerate() {
            assert_eq!(bartizan_setting_at(index, &mut setting), OK);
            // SAFETY: the call succeeded, so the key is a static NUL-terminated text.
            assert_eq!(unsafe { CStr::from_ptr(setting.key) }.to_str().unwrap(), row.key);
            assert_eq!(setting.choices.is_null(), row.choices.is_empty());
            assert_eq!((setting.min_value, setting.max_value), (row.min, row.max));
        }
        assert_eq!(bartizan_setting_at(settings::TABLE.len(), &mut setting), Code::Value.status());
        assert_eq!(bartizan_setting_at(usize::MAX, &mut setting), Code::Value.status());
        assert_eq!(bartizan_setting_at(0, ptr::null_mut()), Code::Null.status());
        setting.struct_size = 0;
        assert_eq!(bartizan_setting_at(0, &mut setting), Code::Struct.status());
    }
}
