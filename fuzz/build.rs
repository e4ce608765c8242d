//! Compiles `calls.c`, as a program in C would be, against the header.

fn main() {
    println!("cargo::rerun-if-changed=calls.c");
    println!("cargo::rerun-if-changed=../include");
    cc::Build::new()
        .file("calls.c")
        .include("../include")
        .std("c99")
        .warnings_into_errors(true)
        .compile("calls");
}
