//! `cargo xtask setup`: what has to be on the machine, and a guest to boot.

mod apt;
mod debian;
mod initramfs;
mod kernel;
mod packages;
mod qemu;
mod virtiofsd;

use anyhow::Result;
use end_to_end::artifacts::{GuestImage, target_dir};

use self::debian::Debian;
pub(crate) use self::qemu::version as qemu_version;

/// Brings the machine and the guest's image to what the project needs. Fast if they are.
pub(crate) fn run() -> Result<GuestImage> {
    let debian = Debian::this_machine()?;
    let packages = apt::ensure_installed(debian)?;
    qemu::check()?;

    let directory = target_dir()?.join(GuestImage::DIRECTORY);
    let image = GuestImage::within(&directory);
    let kernel = kernel::prepare(&directory, debian)?;
    initramfs::prepare(&image.initramfs, &kernel, &packages)?;
    virtiofsd::prepare(debian)?;
    println!("Set up: QEMU {}, guest kernel Linux {}", qemu::version()?, kernel.release());
    Ok(image)
}
