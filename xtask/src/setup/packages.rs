//! The packages that the project needs, and why.

use super::debian::Debian;

/// A Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// The oldest sufficient version. Debian 12 has such a package in its backports.
    pub(super) minimum: Option<&'static str>,
    /// The only release that needs the package. `None` if every release does.
    pub(super) only: Option<Debian>,
    /// The purpose, which is printed when the package is installed.
    pub(super) why: &'static str,
}

const fn any(name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, only: None, why }
}

const fn only(release: Debian, name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, only: Some(release), why }
}

const fn since(minimum: &'static str, name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: Some(minimum), only: None, why }
}

/// All packages.
const PACKAGES: &[Package] = &[
    any("build-essential", "links Rust programs"),
    any("pkg-config", "finds GStreamer when snd-host is built"),
    any("libgstreamer1.0-dev", "GStreamer, to build snd-host"),
    any("libgstreamer-plugins-base1.0-dev", "GStreamer's audio and app libraries, to build snd-host"),
    any("gstreamer1.0-plugins-base", "converts audio in snd-host's pipelines"),
    any("gstreamer1.0-plugins-good", "writes the WAV files that tests compare, and plays to sound servers"),
    any("gstreamer1.0-tools", "gst-launch-1.0, to try a sink without snd-host"),
    any("pulseaudio", "a sound server that tests start late, kill and record from"),
    since("1:9.0", "qemu-system-x86", "runs the guest; vhost-user-snd-pci is new in 9.0"),
    since("1:9.0", "qemu-utils", "qemu-storage-daemon, a device behind isolation-host"),
    only(Debian::Trixie, "virtiofsd", "a file system behind isolation-host"),
    only(Debian::Bookworm, "libcap-ng-dev", "to build virtiofsd"),
    only(Debian::Bookworm, "libseccomp-dev", "to build virtiofsd"),
    any("dpdk-dev", "testpmd, a network device and driver on both sides of isolation-host"),
    any("busybox-static", "the guest's user space"),
    any("alsa-utils", "plays and records in the guest"),
    any("kmod", "resolves the dependencies of the guest's kernel modules"),
    any("valgrind", "counts the rings' instructions"),
    any("xz-utils", "unpacks the guest's kernel modules"),
];

/// Returns the packages that a release needs.
pub(super) fn needed(release: Debian) -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(move |package| package.only.is_none_or(|only| only == release))
}

/// Returns the names of the packages that a release needs.
pub(super) fn names(release: Debian) -> Vec<&'static str> {
    needed(release).map(|package| package.name).collect()
}
