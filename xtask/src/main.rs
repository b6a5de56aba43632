//! What is done to this project, one file a task. `cargo xtask help` explains each.
//!
//! Every command that a task runs is printed first, as one would type it.

mod bench;
mod cached;
mod command;
mod coverage;
mod demo;
mod firmware;
mod fuzz;
mod lint;
mod loom;
mod no_std;
mod setup;
mod test;
mod waveform;

use std::env;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

/// Sets up, demonstrates, tests and checks the project.
///
/// Start with `cargo xtask demo`: it shows a guest playing sound. Each task does the set-up that
/// it needs, and prints the commands it runs so that you can run them yourself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install what the project needs and prepare a guest to boot. Does nothing twice.
    ///
    /// On Debian 12 and 13: installs packages (on 12, QEMU from bookworm-backports, which is added
    /// to the package sources), downloads a Linux 6.12 kernel without installing it, and builds an
    /// initramfs from installed packages; on 12, it also builds virtiofsd. All of it is kept under target.
    Setup,
    /// Play and record 5 s of sound in a real guest through snd-host, and compare every frame.
    ///
    /// Once with split and once with packed rings, and once through isolation-host, so that snd-host
    /// has none of the guest's memory. The recordings, and pictures of them, are kept under
    /// target/demo.
    Demo,
    /// Run every check there is: lints, unit and doc tests, loom models, end-to-end tests.
    ///
    /// `cargo test` alone runs those that need no QEMU and no set-up but GStreamer's.
    Test(test::Options),
    /// Measure ring-core, with `--count` by the instructions that it takes.
    Bench(bench::Options),
    /// Check the ordering of memory accesses in the rings with loom's models.
    Loom,
    /// Let a fuzzer play the peer of each end of the rings.
    ///
    /// Installs cargo-fuzz if it is not there, and needs a nightly toolchain.
    Fuzz(fuzz::Fuzz),
    /// List the lines of ring-core that no test runs, each with its reason.
    ///
    /// Installs cargo-tarpaulin if it is not there.
    Coverage,
    /// Drive QEMU's devices from bare metal, and measure how much code that takes.
    ///
    /// Each device with split and packed rings, with and without event_idx and indirect tables.
    Firmware,
    /// Prove that ring-core links without std and without an allocator.
    NoStd,
    /// Check format, clippy, documentation, and where `unsafe` is.
    Lint,
    /// Check the style that CONTRIBUTING.md asks for: words, lengths, citations, imports, links.
    Tidy(lint::Tidy),
}

impl Task {
    fn run(&self) -> anyhow::Result<()> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        env::set_current_dir(root).with_context(|| format!("{root} is gone; run cargo again"))?;
        match self {
            Self::Setup => setup::run().map(drop),
            Self::Demo => demo::run(),
            Self::Test(options) => test::run(options),
            Self::Bench(options) => bench::run(options),
            Self::Loom => loom::run(),
            Self::Fuzz(fuzz) => fuzz.run(),
            Self::Coverage => coverage::run(),
            Self::Firmware => firmware::run(),
            Self::NoStd => no_std::run(),
            Self::Lint => lint::run(),
            Self::Tidy(tidy) => tidy.run(),
        }
    }
}

fn main() -> ExitCode {
    match Task::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ncargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
