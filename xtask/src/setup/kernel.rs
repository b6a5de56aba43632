//! The guest's kernel: Debian's, unpacked and not installed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::apt;
use super::debian::Debian;
use crate::cached;
use crate::command::{command, output, quietly, run};

/// The series: the first long-term one with all that virtio_snd has here. Both releases have it.
const SERIES: &str = "6.12";
/// The modules that the guest loads, after those that they need.
const MODULES: &[&str] = &["virtio_pci", "virtio_snd", "virtio_blk", "virtiofs"];

/// A kernel with its modules, ready for an initramfs.
#[derive(Debug)]
pub(super) struct Kernel {
    directory: PathBuf,
    release: String,
}

impl Kernel {
    /// Where the kernel is, below the directory that was given to [`prepare`].
    pub(super) const DIRECTORY: &str = "kernel";

    /// What `uname -r` says in the guest.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// The modules' files, in the order in which they load.
    pub(super) fn modules(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directory.join("modules"))?;
        let mut modules: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        modules.sort();
        Ok(modules)
    }
}

/// Downloads and unpacks the kernel, unless it is there.
pub(super) fn prepare(guest: &Path, debian: Debian) -> Result<Kernel> {
    let directory = guest.join(Kernel::DIRECTORY);
    let inputs = format!("Linux {SERIES}, {MODULES:?}\n");
    cached::directory(&directory, &inputs, |new| fill(new, debian))?;
    let release = fs::read_to_string(directory.join("release"))?;
    Ok(Kernel { directory, release })
}

fn fill(directory: &Path, debian: Debian) -> Result<()> {
    let work = tempfile::tempdir_in(directory)?;
    let (package, deb) = match download_newest(work.path()) {
        Ok(downloaded) => downloaded,
        // The lists of packages may be old, or, in a fresh container, not there at all.
        Err(_) => {
            apt::update()?;
            if let (None, Some(backports)) = (known_packages()?.pop(), debian.backports()) {
                apt::add_source(backports)?;
            }
            download_newest(work.path())?
        }
    };
    let unpacked = work.path().join("unpacked");
    quietly("unpacking the guest's kernel", command(["dpkg-deb", "--extract"]).args([&deb, &unpacked]))?;

    let release = package.trim_start_matches("linux-image-");
    fs::rename(unpacked.join("boot").join(format!("vmlinuz-{release}")), directory.join("vmlinuz"))
        .with_context(|| format!("{package} has no kernel"))?;
    fs::write(directory.join("release"), release)?;
    copy_modules(&unpacked, release, &directory.join("modules"))
}

/// Downloads the newest kernel of the series that apt knows; returns its package and its file.
fn download_newest(to: &Path) -> Result<(String, PathBuf)> {
    let package = known_packages()?.pop().with_context(|| {
        format!(
            "no package source has a linux-image-{SERIES}.*-amd64; Debian 12 has it in \
             bookworm-backports, Debian 13 in main"
        )
    })?;
    let deb = download(&package, to)?;
    Ok((package, deb))
}

/// The packages with a kernel of the series, oldest first.
fn known_packages() -> Result<Vec<String>> {
    let names = output(&mut command(["apt-cache", "pkgnames", &format!("linux-image-{SERIES}.")]))?;
    let mut packages: Vec<String> = names.lines().filter(|name| is_plain(name)).map(str::to_owned).collect();
    packages.sort_by_key(|name| numbers(name));
    Ok(packages)
}

/// Whether a package has the plain kernel: the cloud kernel has no sound, and the real-time,
/// debug and unsigned ones nothing that is wanted here.
fn is_plain(package: &str) -> bool {
    let flavour = package.rsplit('+').next().unwrap_or_default();
    package.ends_with("-amd64") && flavour.matches('-').count() == 1
}

/// The numbers in a package's name, by which versions compare.
fn numbers(package: &str) -> Vec<u64> {
    package.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn download(package: &str, to: &Path) -> Result<PathBuf> {
    quietly("downloading the guest's kernel", command(["apt-get", "download", package]).current_dir(to))
        .with_context(|| format!("{package} cannot be downloaded, perhaps for want of a network"))?;
    for entry in fs::read_dir(to)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            return Ok(path);
        }
    }
    bail!("apt-get downloaded no {package}")
}

/// Unpacks the wanted modules and those they need, numbered in the order in which they load.
fn copy_modules(unpacked: &Path, release: &str, to: &Path) -> Result<()> {
    // Debian 13 has them below /usr.
    let base = if unpacked.join("lib/modules").is_dir() { unpacked.to_owned() } else { unpacked.join("usr") };
    run(command(["/sbin/depmod", "--basedir"]).arg(&base).arg(release))?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let needed = output(
            command(["/sbin/modprobe", "--show-depends", "--set-version", release, "--dirname"])
                .arg(&base)
                .arg(module),
        )
        .with_context(|| format!("Linux {release} has no module {module}"))?;
        // "insmod PATH OPTIONS" a line, or "builtin NAME".
        let paths = needed.lines().filter_map(|line| line.strip_prefix("insmod ")?.split_whitespace().next());
        for path in paths {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    fs::create_dir(to)?;
    for (index, path) in order.iter().enumerate() {
        unpack_module(index, Path::new(path), to)?;
    }
    Ok(())
}

fn unpack_module(index: usize, path: &Path, to: &Path) -> Result<()> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some((stem, compression)) = name.split_once(".ko") else {
        bail!("{} is not a kernel module", path.display());
    };
    let module = to.join(format!("{index:02}-{stem}.ko"));
    match compression {
        "" => fs::copy(path, module).map(drop).map_err(Into::into),
        ".xz" => run(command(["xz", "--decompress", "--stdout"]).arg(path).stdout(File::create(module)?)),
        other => bail!("{} is compressed as {other}, which set-up does not know", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_kernels_are_taken() {
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
