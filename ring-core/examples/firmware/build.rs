//! Links the programs without any libraries, and links the firmware with its linker script.

use std::env;

fn main() {
    for argument in ["-nostdlib", "-nostartfiles", "-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    // `core` was built to unwind and refers to this function; these programs abort instead.
    println!("cargo::rustc-link-arg-bins=-Wl,--defsym=rust_eh_personality=0");
    // Cargo sets this variable for every build script.
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bin=firmware=-Wl,--build-id=none,-T,{here}/firmware.ld");
    println!("cargo::rerun-if-changed=firmware.ld");
    println!("cargo::rerun-if-changed=build.rs");
}
