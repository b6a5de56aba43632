//! The guest's kernel: a Debian package, unpacked but not installed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The kernel series: the first long-term series with a complete virtio_snd. Both releases have it.
const SERIES: &str = "6.12";
/// The modules that the guest loads. Modules that these depend on are added.
const MODULES: &[&str] = &["virtio_pci", "virtio_snd", "virtio_blk", "virtiofs", "virtio_rng"];
/// The modules that only the test of vDPA devices loads.
const VDPA: &[&str] = &["vduse", "vhost_vdpa"];

/// A kernel with its modules, ready for an initramfs.
#[derive(Debug)]
pub(super) struct Kernel {
    directory: PathBuf,
    release: String,
}

impl Kernel {
    /// The kernel's directory, below the directory given to [`prepare`].
    pub(super) const DIRECTORY: &str = "kernel";

    /// Returns what `uname -r` prints in the guest.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// Returns the files of the modules, in the order of loading.
    pub(super) fn modules(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directory.join("modules"))?;
        let mut modules: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        modules.sort();
        Ok(modules)
    }
}

/// Downloads and unpacks the kernel, unless that was done before.
pub(super) fn prepare(sh: &Shell, guest: &Path, debian: Debian) -> Result<Kernel> {
    let directory = guest.join(Kernel::DIRECTORY);
    let inputs = format!("Linux {SERIES}, {MODULES:?}, {VDPA:?}\n");
    cached::directory(&directory, &inputs, |new| fill(sh, new, debian))?;
    let release = fs::read_to_string(directory.join("release"))?;
    Ok(Kernel { directory, release })
}

fn fill(sh: &Shell, directory: &Path, debian: Debian) -> Result<()> {
    network::check(sh)?;
    let work = tempfile::tempdir_in(directory)?;
    let unpacked = work.path();
    let package = match unpack_newest(sh, unpacked) {
        Ok(package) => package,
        // The package lists may be old, or, in a new container, missing.
        Err(_) => {
            apt::update(sh)?;
            if let (None, Some(backports)) = (known_packages(sh)?.pop(), debian.backports()) {
                apt::add_source(sh, backports)?;
            }
            unpack_newest(sh, unpacked)?
        }
    };
    let release = package.trim_start_matches("linux-image-");
    fs::rename(unpacked.join("boot").join(format!("vmlinuz-{release}")), directory.join("vmlinuz"))
        .with_context(|| format!("{package} contains no kernel"))?;
    fs::write(directory.join("release"), release)?;
    copy_modules(sh, unpacked, release, MODULES, &directory.join("modules"))?;
    copy_modules(sh, unpacked, release, VDPA, &directory.join("vdpa"))
}

/// Downloads and unpacks the newest kernel of the series. Returns the name of the package.
fn unpack_newest(sh: &Shell, to: &Path) -> Result<String> {
    let package = known_packages(sh)?.pop().with_context(|| {
        format!(
            "no package source has a linux-image-{SERIES}.*-amd64; add bookworm-backports on Debian 12, \
             main on Debian 13"
        )
    })?;
    debs::unpack(sh, "the guest's kernel", &[&package], to)?;
    Ok(package)
}

/// Returns the packages with a kernel of the series, oldest first.
fn known_packages(sh: &Shell) -> Result<Vec<String>> {
    let names = cmd!(sh, "apt-cache pkgnames linux-image-{SERIES}.").read()?;
    let mut packages: Vec<String> = names.lines().filter(|name| is_plain(name)).map(str::to_owned).collect();
    packages.sort_by_key(|name| numbers(name));
    Ok(packages)
}

/// Returns whether a package has the plain kernel. The cloud kernel has no sound, and the
/// real-time, debug and unsigned kernels are not needed.
fn is_plain(package: &str) -> bool {
    let flavour = package.rsplit('+').next().unwrap_or_default();
    package.ends_with("-amd64") && flavour.matches('-').count() == 1
}

/// Returns the numbers in a package's name. The order of these lists is the order of the versions.
fn numbers(package: &str) -> Vec<u64> {
    package.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Unpacks the modules and their dependencies, numbered in the order of loading.
fn copy_modules(sh: &Shell, unpacked: &Path, release: &str, modules: &[&str], to: &Path) -> Result<()> {
    // Debian 13 has the modules below /usr.
    let base = if unpacked.join("lib/modules").is_dir() { unpacked.to_owned() } else { unpacked.join("usr") };
    quietly("listing the modules", cmd!(sh, "/sbin/depmod --basedir {base} {release}"))?;
    let mut order: Vec<String> = Vec::new();
    for module in modules {
        let show =
            cmd!(sh, "/sbin/modprobe --show-depends --set-version {release} --dirname {base} {module}");
        let needed = show.read().with_context(|| format!("Linux {release} has no module {module}"))?;
        // A line is "insmod PATH OPTIONS" or "builtin NAME".
        let paths = needed.lines().filter_map(|line| line.strip_prefix("insmod ")?.split_whitespace().next());
        for path in paths {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    fs::create_dir(to)?;
    for (index, path) in order.iter().enumerate() {
        unpack_module(sh, index, Path::new(path), to)?;
    }
    Ok(())
}

fn unpack_module(sh: &Shell, index: usize, path: &Path, to: &Path) -> Result<()> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some((stem, compression)) = name.split_once(".ko") else {
        bail!("{} is not a kernel module", path.display());
    };
    let module = to.join(format!("{index:02}-{stem}.ko"));
    match compression {
        "" => fs::copy(path, module).map(drop).map_err(Into::into),
        ".xz" => Ok(fs::write(module, cmd!(sh, "xz --decompress --stdout {path}").output()?.stdout)?),
        other => bail!("{} has the unknown compression {other}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_kernels_are_used() {
        assert!(is_plain("linux-image-6.12.90+deb12.1-amd64"));
        assert!(is_plain("linux-image-6.12.43+deb13-amd64"));
        assert!(!is_plain("linux-image-6.12.43+deb13-cloud-amd64"));
        assert!(!is_plain("linux-image-6.12.43+deb13-rt-amd64"));
        assert!(!is_plain("linux-image-6.12.43+deb13-amd64-dbg"));
        assert!(!is_plain("linux-image-6.12.43+deb13-amd64-unsigned"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        let (old, new) = ("linux-image-6.12.95+deb12-amd64", "linux-image-6.12.117+deb12-amd64");
        assert!(numbers(old) < numbers(new));
    }
}
