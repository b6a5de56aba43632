//! The packages that each task needs, and why.

use clap::ValueEnum;

use self::Purpose::{Bench, Demo, Docs, Firmware, Foreign, Package as Packaging, Test};
use super::debian::Debian;

/// What the packages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask docs`.
    Docs,
    /// `cargo xtask firmware`.
    Firmware,
    /// `cargo xtask foreign`.
    Foreign,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask package`.
    Package,
    /// `cargo xtask test`, which needs the packages of all other tasks.
    Test,
}

/// The purposes of a package that links programs.
const ALL: &[Purpose] = &[Demo, Docs, Firmware, Foreign, Bench, Packaging, Test];
/// The purposes that run snd-host under QEMU.
const SOUND: &[Purpose] = &[Demo, Docs, Firmware, Test];
/// The purposes that build snd-host.
const BUILD_SOUND: &[Purpose] = &[Demo, Docs, Firmware, Packaging, Test];
/// The purposes that boot Linux in a guest.
const GUEST: &[Purpose] = &[Demo, Docs, Test];
/// The purposes that serve a disk.
const DISK: &[Purpose] = &[Bench, Docs, Test];
/// The purposes that measure.
const MEASURE: &[Purpose] = &[Bench, Test];

/// A Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// The oldest sufficient version. Debian 12 has such a package in its backports.
    pub(super) minimum: Option<&'static str>,
    /// The only release that needs the package. `None` if every release does.
    only: Option<Debian>,
    /// What needs the package.
    purposes: &'static [Purpose],
    /// The use, which is printed when the package is installed.
    pub(super) why: &'static str,
}

const fn any(name: &'static str, purposes: &'static [Purpose], why: &'static str) -> Package {
    Package { name, minimum: None, only: None, purposes, why }
}

const fn only(release: Debian, name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, only: Some(release), purposes: &[Test], why }
}

const fn since(
    minimum: &'static str,
    name: &'static str,
    purposes: &'static [Purpose],
    why: &'static str,
) -> Package {
    Package { name, minimum: Some(minimum), only: None, purposes, why }
}

/// All packages.
const PACKAGES: &[Package] = &[
    any("build-essential", ALL, "links Rust programs"),
    any("pkg-config", BUILD_SOUND, "finds GStreamer when snd-host is built"),
    any("libgstreamer1.0-dev", BUILD_SOUND, "GStreamer, to build snd-host"),
    any(
        "libgstreamer-plugins-base1.0-dev",
        BUILD_SOUND,
        "GStreamer's audio and app libraries, to build snd-host",
    ),
    any("gstreamer1.0-plugins-base", SOUND, "converts audio in snd-host's pipelines"),
    any("gstreamer1.0-plugins-good", GUEST, "reads and writes WAV files, and plays to sound servers"),
    any("gstreamer1.0-tools", &[Test], "gst-launch-1.0, to try a sink without snd-host"),
    since("1:9.0", "qemu-system-x86", SOUND, "runs the guest; vhost-user-snd-pci is new in 9.0"),
    since("1:9.0", "qemu-utils", DISK, "qemu-storage-daemon, a device behind isolation-host"),
    only(Debian::Trixie, "libcap-ng0", "to run virtiofsd"),
    only(Debian::Trixie, "libseccomp2", "to run virtiofsd"),
    only(Debian::Bookworm, "libcap-ng-dev", "to build virtiofsd"),
    only(Debian::Bookworm, "libseccomp-dev", "to build virtiofsd"),
    any("busybox-static", GUEST, "the guest's user space"),
    any("iproute2", &[Test], "vdpa, which makes vDPA devices in the guest"),
    any("alsa-utils", GUEST, "plays and records in the guest"),
    any("kmod", GUEST, "resolves the dependencies of the guest's kernel modules"),
    any("systemd", &[Docs, Test], "passes sockets to programs, and systemd-analyze judges the units"),
    any("rpm", &[Packaging, Test], "finds the libraries that a program needs, for RPM packages"),
    any("valgrind", MEASURE, "counts the rings' instructions"),
    any("xz-utils", GUEST, "unpacks the guest's kernel modules"),
];

/// Returns the packages that a purpose needs on a release.
pub(super) fn needed(release: Debian, purpose: Purpose) -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(move |package| {
        package.purposes.contains(&purpose) && package.only.is_none_or(|only| only == release)
    })
}

/// Returns the names of the packages that a purpose needs on a release.
pub(super) fn names(release: Debian, purpose: Purpose) -> Vec<&'static str> {
    needed(release, purpose).map(|package| package.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_need_the_packages_of_all_other_tasks() {
        assert!(PACKAGES.iter().all(|package| package.purposes.contains(&Test)));
    }

    #[test]
    fn servers_that_only_tests_need_are_not_installed() {
        for release in [Debian::Bookworm, Debian::Trixie] {
            let (demo, test) = (names(release, Demo), names(release, Test));
            assert!(!demo.contains(&"qemu-utils"));
            for server in ["dpdk-dev", "pulseaudio", "virtiofsd"] {
                assert!(!test.contains(&server), "{server}");
            }
        }
    }
}
