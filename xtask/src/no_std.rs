//! `cargo xtask no-std`: ring-core links without std and without an allocator, and builds for
//! targets that have no std.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use end_to_end::artifacts::target_dir;

use crate::command::{captured, cargo, command, output, print, run as run_command};

/// The freestanding program. It is its own workspace, lest features of other members bring std in.
pub(crate) const MANIFEST: &str = "ring-core/no-std-proof/Cargo.toml";
/// What rustc says about a program that allocates and has nothing to allocate with.
const NO_ALLOCATOR: &str = "no global memory allocator found";
/// Targets without std, of each kind of processor for which ring-core has barriers.
const BARE_TARGETS: [&str; 3] = ["x86_64-unknown-none", "aarch64-unknown-none", "riscv64gc-unknown-none-elf"];

/// Builds the freestanding program, and shows that the same program with an allocation in it
/// does not build: else the first would prove nothing.
pub(crate) fn run() -> Result<()> {
    run_command(&mut on_proof("build")?)?;

    let mut with_alloc = on_proof("build")?;
    with_alloc.args(["--features", "use-alloc"]);
    print(&with_alloc);
    let (built, output) = captured(&mut with_alloc)?;
    if built {
        bail!(
            "a program that allocates was built, so that ring-core links without an allocator proves nothing"
        );
    }
    if !output.contains(NO_ALLOCATOR) {
        eprintln!("{output}");
        bail!("a program that allocates fails to build, but not for want of an allocator");
    }
    println!("as it must, that failed: {NO_ALLOCATOR}");
    bare_targets()
}

/// Builds ring-core for each target without std that the toolchain has. What it does not have is
/// no failure: it is not this project's to install.
fn bare_targets() -> Result<()> {
    let sysroot = output(&mut command(["rustc", "--print", "sysroot"]))?;
    for target in BARE_TARGETS {
        if Path::new(sysroot.trim()).join("lib/rustlib").join(target).is_dir() {
            run_command(&mut cargo(["build", "--package", "ring-core", "--target", target]))?;
        } else {
            println!("{target}: not built, the toolchain does not have it (rustup target add {target})");
        }
    }
    Ok(())
}

/// A subcommand of cargo, on the freestanding program.
pub(crate) fn on_proof(subcommand: &str) -> Result<Command> {
    // Not a member of the workspace, so it says where its files go.
    let target = target_dir()?.join("no-std-proof");
    let mut command = cargo([subcommand, "--release", "--manifest-path", MANIFEST, "--target-dir"]);
    command.arg(target);
    Ok(command)
}
