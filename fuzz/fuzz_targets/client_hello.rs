//! A ClientHello in any fragmentation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan::fuzzing::client_hello(data));
