//! Tests of the whole, in a crate of their own so that what they depend on never reaches the library. The
//! tests are in `tests/`, one file per phase, attack or rendered file; what several of them share lives here.
