//! Sequences of calls of the C ABI on live servers of the loopback. What is called, and how, is `calls.c`.
#![no_main]

// The symbols that `calls.c` wants.
use bartizan_abi as _;

unsafe extern "C" {
    fn calls(octets: *const u8, count: usize);
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // SAFETY: `calls` reads so many octets, and keeps none.
    unsafe { calls(data.as_ptr(), data.len()) }
});
