//! Development tasks, one file each. `cargo xtask help` explains them.
//!
//! Every command is printed before it runs, in a form that can be pasted into a shell.

mod api;
mod bench;
mod cached;
mod command;
mod coverage;
mod demo;
mod disk;
mod docs;
mod drawing;
mod firmware;
mod foreign;
mod fuzz;
mod interrupt;
mod lint;
mod loom;
mod no_std;
mod package;
mod process_tree;
mod setup;
mod stages;
mod storm;
mod test;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use xshell::Shell;

/// Sets up, demonstrates, tests and checks the project.
///
/// Start with `cargo xtask demo`, in which a guest plays sound. Each task does the set-up that the
/// task needs, and prints its commands so that you can run them yourself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install what a task needs, and prepare a guest for the tasks that boot one. A second run
    /// does nothing.
    ///
    /// On Debian 12 and 13: installs packages. For `demo`, `docs` and `test`, downloads a Linux
    /// 6.12 kernel without installing the kernel, and builds an initramfs from installed packages.
    /// On Debian 12, also adds bookworm-backports to the package sources, which has a recent QEMU
    /// and PipeWire. For `test`, downloads PulseAudio, PipeWire and DPDK, builds vhost-device-rng,
    /// and downloads virtiofsd on Debian 13 or builds it on Debian 12. For `test` and `foreign`,
    /// downloads Rust 1.85 and emulators. These programs are not installed, but kept under target.
    /// Installed packages are never removed.
    Setup {
        /// The task to prepare.
        #[arg(value_enum, default_value = "test")]
        purpose: setup::Purpose,
    },
    /// Play and record 5 s of sound in a real guest through snd-host, and compare every frame.
    ///
    /// Runs with split rings, with packed rings, and through isolation-host, where snd-host cannot
    /// access guest memory. The page target/demo/index.html shows pictures of the sound and of the
    /// memory, plays the sound, and has the commands to repeat each run by hand.
    Demo(demo::Options),
    /// Run lints and tests: unit and doc tests, loom models, other processors, bare metal,
    /// instruction counts, end to end.
    ///
    /// Fuzzing, coverage and the commands of docs/ are separate tasks. The licences and advisories
    /// of the dependencies are checked only with `--full`, and by `lint` and `package`.
    /// `cargo test` alone runs the tests that need neither QEMU nor root.
    Test(test::Options),
    /// Measure the time of rings and forwarding, or with `--count` the instructions of the rings.
    Bench(bench::Options),
    /// Check the ordering of memory accesses in the rings with loom's models.
    Loom,
    /// Kill isolation-host, its device and the VMM's connection at random for ten minutes, under a
    /// load that compares each byte.
    Storm(storm::Storm),
    /// Fuzz each end of the rings against a hostile peer.
    ///
    /// Needs a nightly toolchain. Installs cargo-fuzz if necessary.
    Fuzz(fuzz::Fuzz),
    /// List the lines of ring-core that no test runs, each with the reason.
    ///
    /// Installs cargo-llvm-cov and the toolchain's llvm-tools if necessary.
    Coverage,
    /// Run the commands of the documents in docs/ as they are written.
    ///
    /// A document marks the commands that are run, and says why the other commands are not run.
    Docs(docs::Docs),
    /// Drive QEMU's devices and snd-host from bare metal, and measure the size of the code.
    ///
    /// Drives each device with split and packed rings, with and without event_idx and indirect
    /// tables.
    Firmware,
    /// Test ring-core on other processors, in emulators, and build with the oldest supported Rust.
    ///
    /// Runs the tests for aarch64, riscv64, s390x, powerpc and i686, reads the barriers in the
    /// assembly code for aarch64 and riscv64, and checks the libraries and isolation-host with Rust
    /// 1.85. The compiler and the emulators are downloaded, but not installed.
    Foreign(foreign::Options),
    /// Prove that ring-core links without std and without an allocator.
    NoStd,
    /// Make Debian and RPM packages of snd-host and isolation-host, and check the dependencies.
    ///
    /// The packages are in target/package-files. Programs that make and check packages are
    /// installed below target.
    Package(package::Options),
    /// Check the format, the style, the public API, the packages, the documentation and the
    /// dependencies, and run clippy.
    ///
    /// Installs cargo-deny below target if necessary.
    Lint,
    /// Check the style that CONTRIBUTING.md asks for: words, lengths, citations, imports, links.
    Tidy(lint::Tidy),
    /// Compare the public API of ring-core and vhost-ring with the lists in their api.txt.
    Api(api::Api),
}

impl Task {
    fn run(&self) -> anyhow::Result<()> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        env::set_current_dir(root).with_context(|| format!("{root} does not exist; run cargo again"))?;
        let sh = &Shell::new()?;
        match self {
            Self::Setup { purpose } => setup::run(sh, *purpose),
            Self::Demo(options) => demo::run(sh, options),
            Self::Test(options) => test::run(sh, options),
            Self::Bench(options) => bench::run(sh, options),
            Self::Loom => loom::run(sh),
            Self::Storm(storm) => storm.run(sh),
            Self::Fuzz(fuzz) => fuzz.run(sh),
            Self::Coverage => coverage::run(sh),
            Self::Docs(docs) => docs.run(sh),
            Self::Firmware => firmware::run(sh),
            Self::Foreign(options) => foreign::run(sh, options),
            Self::NoStd => no_std::run(sh),
            Self::Package(options) => package::run(sh, options),
            Self::Lint => lint::run(sh),
            Self::Tidy(tidy) => tidy.run(sh),
            Self::Api(api) => api.run(sh),
        }
    }
}

fn main() -> ExitCode {
    let task = Task::parse();
    let outcome = interrupt::handle().and_then(|()| task.run());
    interrupt::wait_if_interrupted();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ncargo xtask: {error:#}");
            for directory in disk::full() {
                eprintln!("The file system of {} is full; free space, then run again", directory.display());
            }
            ExitCode::FAILURE
        }
    }
}
