//! Interleavings: peers, time and program act as the octets choose.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan::fuzzing::acts(data));
