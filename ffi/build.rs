//! What cargo does not tell the linker by itself: the SONAME, and that `dlclose` must never unmap the code which our threads
//! run. The version node stands in `libbartizan.map`, since a linker takes only one map and rustc passes its own: the
//! installed library is linked by `link.sh`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libbartizan.so.0");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
