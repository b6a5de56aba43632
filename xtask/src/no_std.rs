//! `cargo xtask no-std`: ring-core links without std and without an allocator, and builds for
//! targets that have no std.

use std::path::Path;

use anyhow::{Result, bail};
use end_to_end::artifacts::target_dir;
use xshell::{Cmd, Shell, cmd};

use crate::command::captured;

/// The manifest of the freestanding program. The program has a workspace of its own, because
/// features of other members would bring std into the build.
pub(crate) const MANIFEST: &str = "ring-core/no-std-proof/Cargo.toml";
/// rustc's message about a program that allocates without an allocator.
const NO_ALLOCATOR: &str = "no global memory allocator found";
/// Targets without std, one for each processor architecture that ring-core has barriers for.
const BARE_TARGETS: [&str; 3] = ["x86_64-unknown-none", "aarch64-unknown-none", "riscv64gc-unknown-none-elf"];

/// Builds the freestanding program. Also shows that the same program with an allocation does not
/// build: otherwise the first build would prove nothing.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    on_proof(sh, "build")?.run()?;

    let with_alloc = on_proof(sh, "build")?.args(["--features", "use-alloc"]);
    let (built, output) = captured("building a program that allocates", with_alloc)?;
    if built {
        bail!("a program that allocates was built, so the build without an allocator proves nothing");
    }
    if !output.contains(NO_ALLOCATOR) {
        eprintln!("{output}");
        bail!("a program that allocates does not build, but not because the allocator is missing");
    }
    println!("failed as expected: {NO_ALLOCATOR}");
    bare_targets(sh)
}

/// Builds ring-core for each target without std that is installed. This task does not install
/// targets.
fn bare_targets(sh: &Shell) -> Result<()> {
    let sysroot = cmd!(sh, "rustc --print sysroot").read()?;
    for target in BARE_TARGETS {
        if Path::new(&sysroot).join("lib/rustlib").join(target).is_dir() {
            cmd!(sh, "cargo build --package ring-core --target {target}").run()?;
        } else {
            println!("{target}: not built, not installed (rustup target add {target})");
        }
    }
    Ok(())
}

/// Returns a command that runs a subcommand of cargo on the freestanding program.
pub(crate) fn on_proof<'s>(sh: &'s Shell, subcommand: &str) -> Result<Cmd<'s>> {
    // Another workspace's files go beside this workspace's.
    let target = target_dir()?.join("no-std-proof");
    Ok(cmd!(sh, "cargo {subcommand} --release --manifest-path {MANIFEST} --target-dir {target}"))
}
