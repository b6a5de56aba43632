//! Links the program without any libraries: no C library, no start-up code.

fn main() {
    for argument in ["-nostdlib", "-nostartfiles", "-static"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    // `core` was built to unwind and refers to this function; this program aborts instead.
    println!("cargo::rustc-link-arg-bins=-Wl,--defsym=rust_eh_personality=0");
    println!("cargo::rerun-if-changed=build.rs");
}
