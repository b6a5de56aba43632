//! `cargo xtask setup`: the packages that a task needs, and a guest to boot.

mod apt;
mod crates;
mod debian;
mod debootstrap;
mod debs;
mod dpdk;
mod dpkg;
mod initramfs;
mod kernel;
mod lock;
mod machine;
mod network;
mod packages;
mod pipewire;
mod plan;
mod pulseaudio;
mod qemu;
mod root;
mod rust;
mod virtiofsd;

use anyhow::Result;
use end_to_end::artifacts::{GuestImage, VHOST_DEVICE_RNG, target_dir};
use xshell::Shell;

use self::debian::Debian;
pub(crate) use self::debootstrap::prepare as bare_system;
pub(crate) use self::packages::Purpose;
pub(crate) use self::qemu::version as qemu_version;
pub(crate) use self::rust::Rust;

/// Prepares what a task needs. Fast if nothing is missing.
pub(crate) fn run(sh: &Shell, purpose: Purpose) -> Result<()> {
    match purpose {
        Purpose::Demo => for_demo(sh).map(drop),
        Purpose::Docs => for_docs(sh).map(drop),
        Purpose::Firmware => for_firmware(sh),
        Purpose::Foreign => for_foreign(sh).map(drop),
        Purpose::Bench => for_bench(sh),
        Purpose::Package => for_packages(sh),
        Purpose::Test => for_tests(sh),
    }
}

/// Prepares the demo, and returns the guest that plays.
pub(crate) fn for_demo(sh: &Shell) -> Result<GuestImage> {
    guest(sh, machine::release(Purpose::Demo)?, Purpose::Demo)
}

/// Prepares what the commands of the documents need, and returns their guest.
pub(crate) fn for_docs(sh: &Shell) -> Result<GuestImage> {
    guest(sh, machine::release(Purpose::Docs)?, Purpose::Docs)
}

/// Prepares everything that tests run.
pub(crate) fn for_tests(sh: &Shell) -> Result<()> {
    let debian = machine::release(Purpose::Test)?;
    guest(sh, debian, Purpose::Test)?;
    pulseaudio::prepare(sh, debian)?;
    dpdk::prepare(sh, debian)?;
    pipewire::prepare(sh, debian)?;
    rust::prepare(sh, debian)?;
    virtiofsd::prepare(sh, debian)?;
    crates::prepare(sh, &target_dir()?.join(VHOST_DEVICE_RNG), "0.1.0")
}

/// Installs what the firmware runs on.
pub(crate) fn for_firmware(sh: &Shell) -> Result<()> {
    apt::ensure_installed(sh, machine::release(Purpose::Firmware)?, Purpose::Firmware)?;
    qemu::check(sh)
}

/// Prepares a compiler and emulators for other processors, and the oldest supported compiler.
pub(crate) fn for_foreign(sh: &Shell) -> Result<Rust> {
    let debian = machine::release(Purpose::Foreign)?;
    apt::ensure_installed(sh, debian, Purpose::Foreign)?;
    rust::prepare(sh, debian)
}

/// Installs what is measured with.
pub(crate) fn for_bench(sh: &Shell) -> Result<()> {
    where_supported(sh, Purpose::Bench)
}

/// Installs what packages are built with.
pub(crate) fn for_packages(sh: &Shell) -> Result<()> {
    where_supported(sh, Purpose::Package)
}

/// Installs packages. On a system without Debian's packages, only names them: the task may be
/// possible nevertheless.
fn where_supported(sh: &Shell, purpose: Purpose) -> Result<()> {
    match machine::release(purpose) {
        Ok(debian) => apt::ensure_installed(sh, debian, purpose).map(drop),
        Err(unsupported) => {
            eprintln!("{unsupported:#}");
            Ok(())
        }
    }
}

/// Installs packages and prepares the guest image.
fn guest(sh: &Shell, debian: Debian, purpose: Purpose) -> Result<GuestImage> {
    let packages = apt::ensure_installed(sh, debian, purpose)?;
    qemu::check(sh)?;

    let directory = target_dir()?.join(GuestImage::DIRECTORY);
    let image = GuestImage::within(&directory);
    let kernel = kernel::prepare(sh, &directory, debian)?;
    initramfs::prepare(sh, &image.initramfs, &kernel, &packages)?;
    println!("Set up: QEMU {}, guest kernel Linux {}", qemu::version(sh)?, kernel.release());
    Ok(image)
}
