//! The objects that the program owns, from the call that gives one out to its `_free`. Each address is listed meanwhile, so that
//! a second `_free`, or the `_free` of another kind, ends the process with its reason instead of harming the allocator. What is
//! freed and used again elsewhere stays undefined: an address may be another object's by then.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::fork;
use crate::guard::lock;

/// By address. Objects are set up and ended, never per request: the lock costs nothing that shows.
static LIVE: Mutex<BTreeMap<usize, TypeId>> = Mutex::new(BTreeMap::new());

/// A child of `fork` keeps no list: the lock may be held for ever by a thread that it does not have.
fn is_listed() -> bool {
    fork::generation() == 0
}

/// Gives an object to the program.
pub(crate) fn give<T: 'static>(object: T) -> Box<T> {
    let object = Box::new(object);
    if is_listed() {
        lock(&LIVE).insert((&raw const *object).addr(), TypeId::of::<T>());
    }
    object
}

/// Takes an object back for good; `None` for NULL.
pub(crate) fn take_back<T: 'static>(object: *mut T) -> Option<Box<T>> {
    if object.is_null() {
        return None;
    }
    if is_listed() && lock(&LIVE).remove(&object.addr()) != Some(TypeId::of::<T>()) {
        // A host that sees its process end is owed the reason.
        eprintln!("bartizan: a _free of {object:p}, which is no live object of its kind: freed twice?");
        std::process::abort();
    }
    // SAFETY: `give` made it, as the list says, and it is on the list no more, so that this is its one owner. In a child of
    // `fork` the header's word is taken for that.
    Some(unsafe { Box::from_raw(object) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_taken_back_as_what_it_is() {
        let given = Box::into_raw(give(7u64));
        assert!(lock(&LIVE).contains_key(&given.addr()));
        assert_eq!(take_back(given).as_deref(), Some(&7));
        assert!(take_back(std::ptr::null_mut::<u64>()).is_none());
    }
}
