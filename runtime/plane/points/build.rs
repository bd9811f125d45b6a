//! Compiles the named points in.

fn main() {
    println!("cargo::rustc-cfg=named_points");
    println!("cargo::rerun-if-changed=build.rs");
}
