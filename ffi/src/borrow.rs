//! What C lends us for the time of a call: strings, octets, arrays, objects, and places for results. The header promises what
//! each pointer is; here is all the code that takes its word. NULL, lengths and UTF-8 are checked, the rest cannot be.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::slice;

use crate::error::Fault;
use crate::status::Code;

/// `BARTIZAN_NTS`: the text ends at its first NUL.
pub(crate) const NTS: usize = usize::MAX;

/// Octets without a promise of a NUL behind them; `len` BARTIZAN_NTS = NUL-terminated where the program gives it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// NULL only with len 0.
    pub ptr: *const c_char,
    /// In octets.
    pub len: usize,
}

impl Str {
    pub(crate) const EMPTY: Self = Self { ptr: c"".as_ptr(), len: 0 };

    pub(crate) fn new(octets: &[u8]) -> Self {
        // A dangling pointer would be legal for no octets, and a trap for who prints it.
        if octets.is_empty() { Self::EMPTY } else { Self { ptr: octets.as_ptr().cast(), len: octets.len() } }
    }
}

/// One field line of a header or trailer section.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// In requests in lower case.
    pub name: Str,
    /// Without surrounding whitespace.
    pub value: Str,
}

// SAFETY: a `Str` is an address and a length; whoever follows the address vouches for what is there.
unsafe impl Send for Str {}
// SAFETY: as above, and it has no interior mutability.
unsafe impl Sync for Str {}

/// An object that several threads may use at once, so that C's pointer to it becomes a shared reference only.
pub(crate) fn object<'a, T: Sync>(object: *const T) -> Result<&'a T, Code> {
    // SAFETY: the header says that an object pointer comes from its `_new` and is not freed while a call on it runs; nobody
    // has a unique reference to an object that several threads may use, and others are not changed meanwhile.
    unsafe { object.as_ref() }.ok_or(Code::Null)
}

/// An object that one thread at a time may use, where a reference in the signature would have to be unique too early.
pub(crate) fn unique<'a, T>(object: *mut T) -> Result<&'a mut T, Code> {
    // SAFETY: the header says that the pointer comes from its `_new`, is not freed during the call, and that no other call
    // uses the object; the caller has ended every other reference to it.
    unsafe { object.as_mut() }.ok_or(Code::Null)
}

/// `count` elements that C promises to be there.
pub(crate) fn array<'a, T>(first: *const T, count: usize) -> Result<&'a [T], Code> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Code::Null);
    }
    if !first.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Code::Value);
    }
    // SAFETY: not NULL, aligned and not longer than memory can be; C promises `count` elements that nobody writes to during
    // the call.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

/// `count` places for results that C promises to be there. Nothing is read from them.
pub(crate) fn places<'a, T>(first: *mut T, count: usize) -> Result<&'a mut [MaybeUninit<T>], Code> {
    if count == 0 {
        return Ok(&mut []);
    }
    if first.is_null() {
        return Err(Code::Null);
    }
    if !first.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Code::Value);
    }
    // SAFETY: not NULL, aligned and not longer than memory can be; C promises `count` places that are ours during the call.
    Ok(unsafe { slice::from_raw_parts_mut(first.cast(), count) })
}

/// Octets of a length that the program knows.
pub(crate) fn octets<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Code> {
    array(data.cast(), len)
}

/// Room for octets, as the readers of std want it.
pub(crate) fn buffer<'a>(data: *mut c_void, cap: usize) -> Result<&'a mut [u8], Code> {
    let room = places(data.cast::<u8>(), cap)?;
    // SAFETY: any content is a valid `u8`; the one reader behind this writes before it reads.
    Ok(unsafe { &mut *(&raw mut *room as *mut [u8]) })
}

/// Octets of text: of a length that the program knows, or up to the NUL.
pub(crate) fn text_octets<'a>(text: *const c_char, len: usize) -> Result<&'a [u8], Code> {
    if len != NTS {
        return array(text.cast(), len);
    }
    if text.is_null() {
        return Err(Code::Null);
    }
    // SAFETY: not NULL, and with BARTIZAN_NTS the program promises a NUL at the end.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// UTF-8 text; `argument` is its name in the header.
pub(crate) fn text<'a>(argument: &str, text: *const c_char, len: usize) -> Result<&'a str, Fault> {
    let octets = text_octets(text, len).map_err(|code| code.about(argument))?;
    std::str::from_utf8(octets).map_err(|error| {
        let at = error.valid_up_to();
        Fault::new(Code::Value, format!("{argument} is not UTF-8: the octet at {at} is wrong"))
    })
}

/// NUL-terminated UTF-8 text.
pub(crate) fn c_text<'a>(argument: &str, pointer: *const c_char) -> Result<&'a str, Fault> {
    text(argument, pointer, NTS)
}

/// Field lines that the program gives, all of them checked to be readable.
pub(crate) fn fields<'a>(
    headers: *const Header,
    count: usize,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone, Code> {
    let headers: &'a [Header] = array(headers, count)?;
    for header in headers {
        text_octets(header.name.ptr, header.name.len)?;
        text_octets(header.value.ptr, header.value.len)?;
    }
    // Checked above: nothing falls back to empty.
    let octets = |text: &Str| text_octets(text.ptr, text.len).unwrap_or_default();
    Ok(headers.iter().map(move |header| (octets(&header.name), octets(&header.value))))
}

/// Answers into a buffer of the program: `*len` is the length without the NUL in any case, E_LIMIT where `cap` has no room
/// for it and its NUL.
pub(crate) fn reply(buf: *mut c_char, cap: usize, len: &mut usize, text: &str) -> Result<(), Code> {
    let room = places(buf, cap)?;
    *len = text.len();
    if room.len() <= text.len() {
        return Err(Code::Limit);
    }
    for (place, octet) in room.iter_mut().zip(text.bytes().chain([0])) {
        place.write(octet as c_char);
    }
    Ok(())
}

/// A structure whose size the caller has written into it, by the rule of openat2(2): what is too small for the first
/// version is refused, and so is a tail that we do not know unless it is all zero.
pub(crate) fn sized<'a, T>(object: *mut T, size: usize) -> Result<&'a mut T, Code> {
    /// No structure of ours comes near; a wild size must not make us read far.
    const MOST: usize = 4096;
    if !(size_of::<T>()..=MOST).contains(&size) {
        return Err(Code::Struct);
    }
    let octets: &[u8] = array(object.cast(), size)?;
    if octets[size_of::<T>()..].iter().any(|octet| *octet != 0) {
        return Err(Code::Struct);
    }
    // SAFETY: C promises a structure of at least this size that is ours during the call; every field is an integer or a raw
    // pointer, so that any content is valid.
    unsafe { object.as_mut() }.ok_or(Code::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_the_empty_text_only_without_a_length() {
        assert_eq!(text("t", std::ptr::null(), 0).unwrap(), "");
        assert_eq!(text("t", std::ptr::null(), 1).unwrap_err().code, Code::Null);
        assert_eq!(c_text("t", std::ptr::null()).unwrap_err().code, Code::Null);
        assert_eq!(text("t", c"abc".as_ptr(), 2).unwrap(), "ab");
        assert_eq!(text("t", c"abc".as_ptr(), NTS).unwrap(), "abc");
        assert_eq!(text("t", c"abc".as_ptr(), NTS - 1).unwrap_err().code, Code::Value);
        let fault = text("key", c"ab\xff".as_ptr(), NTS).unwrap_err();
        assert_eq!(fault.message, "key is not UTF-8: the octet at 2 is wrong");
    }

    #[test]
    fn a_reply_needs_room_for_its_nul() {
        let mut buf = [b'x' as c_char; 4];
        let mut len = 0;
        assert_eq!(reply(std::ptr::null_mut(), 0, &mut len, "abc"), Err(Code::Limit));
        assert_eq!(len, 3);
        assert_eq!(reply(buf.as_mut_ptr(), 3, &mut len, "abc"), Err(Code::Limit));
        assert_eq!(buf, [b'x' as c_char; 4]);
        assert_eq!(reply(buf.as_mut_ptr(), 4, &mut len, "abc"), Ok(()));
        assert_eq!(buf.map(|octet| octet as u8), *b"abc\0");
        assert_eq!(reply(std::ptr::null_mut(), 4, &mut len, "abc"), Err(Code::Null));
    }

    #[test]
    fn a_sized_structure_may_have_a_zero_tail_and_no_other() {
        #[repr(C)]
        struct Grown {
            known: [u64; 2],
            tail: [u64; 2],
        }
        let mut grown = Grown { known: [1, 2], tail: [0, 0] };
        let known = (&raw mut grown).cast::<[u64; 2]>();
        assert!(sized(known, 16).is_ok());
        assert!(sized(known, 32).is_ok());
        assert_eq!(sized(known, 15).unwrap_err(), Code::Struct);
        assert_eq!(sized(known, 0).unwrap_err(), Code::Struct);
        assert_eq!(sized(known, usize::MAX).unwrap_err(), Code::Struct);
        grown.tail[1] = 1;
        assert_eq!(sized((&raw mut grown).cast::<[u64; 2]>(), 32).unwrap_err(), Code::Struct);
        assert_eq!(sized(std::ptr::null_mut::<u64>(), 8).unwrap_err(), Code::Null);
    }

    #[test]
    fn fields_are_checked_before_any_is_read() {
        let good = Header { name: Str::new(b"a"), value: Str { ptr: c"long".as_ptr(), len: NTS } };
        let bad = Header { name: Str { ptr: std::ptr::null(), len: 1 }, ..good };
        assert!(fields([good, good].as_ptr(), 2).unwrap().eq([(&b"a"[..], &b"long"[..]); 2]));
        assert_eq!(fields([good, bad].as_ptr(), 2).err(), Some(Code::Null));
        assert_eq!(fields(std::ptr::null(), 1).err(), Some(Code::Null));
        assert_eq!(fields(std::ptr::null(), 0).unwrap().count(), 0);
    }
}
