//! `cargo xtask setup`: the packages that the project needs, and a guest to boot.

mod apt;
mod debian;
mod initramfs;
mod kernel;
mod machine;
mod packages;
mod qemu;
mod virtiofsd;

use anyhow::Result;
use end_to_end::artifacts::{GuestImage, target_dir};
use xshell::Shell;

pub(crate) use self::qemu::version as qemu_version;

/// Installs what is missing and prepares the guest image. Fast if nothing is missing.
pub(crate) fn run(sh: &Shell) -> Result<GuestImage> {
    let debian = machine::release()?;
    let packages = apt::ensure_installed(sh, debian)?;
    qemu::check(sh)?;

    let directory = target_dir()?.join(GuestImage::DIRECTORY);
    let image = GuestImage::within(&directory);
    let kernel = kernel::prepare(sh, &directory, debian)?;
    initramfs::prepare(sh, &image.initramfs, &kernel, &packages)?;
    virtiofsd::prepare(sh, debian)?;
    println!("Set up: QEMU {}, guest kernel Linux {}", qemu::version(sh)?, kernel.release());
    Ok(image)
}
