//! The packages that the project needs, and why.

use super::debian::Debian;

/// A Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// The oldest version that will do. Debian 12 takes such a package from its backports.
    pub(super) minimum: Option<&'static str>,
    /// The only release on which it is needed, if it is not needed on all.
    pub(super) only: Option<Debian>,
    /// What it is needed for. It is printed when the package is installed.
    pub(super) why: &'static str,
}

const fn any(name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, only: None, why }
}

const fn only(release: Debian, name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, only: Some(release), why }
}

/// All packages.
const PACKAGES: &[Package] = &[
    any("build-essential", "links Rust programs"),
    any("pkg-config", "finds GStreamer when snd-host is built"),
    any("libgstreamer1.0-dev", "GStreamer, to build snd-host"),
    any("libgstreamer-plugins-base1.0-dev", "GStreamer's audio and app libraries, to build snd-host"),
    any("gstreamer1.0-plugins-base", "converts audio in snd-host's pipelines"),
    any("gstreamer1.0-plugins-good", "writes the WAV files that tests compare, and plays to sound servers"),
    any("gstreamer1.0-tools", "gst-launch-1.0, to try a sink before snd-host gets it"),
    any("pulseaudio", "a sound server for tests to start late, kill and record from"),
    Package {
        name: "qemu-system-x86",
        minimum: Some("1:9.0"),
        only: None,
        why: "runs the guest; vhost-user-snd-pci is new in 9.0",
    },
    Package {
        name: "qemu-utils",
        minimum: Some("1:9.0"),
        only: None,
        why: "qemu-storage-daemon, a device for isolation-host to forward to",
    },
    only(Debian::Trixie, "virtiofsd", "a file system for isolation-host to forward to"),
    only(Debian::Bookworm, "libcap-ng-dev", "to build virtiofsd"),
    only(Debian::Bookworm, "libseccomp-dev", "to build virtiofsd"),
    any("dpdk-dev", "testpmd, a network card and its driver for isolation-host to stand between"),
    any("busybox-static", "is the guest's user space"),
    any("alsa-utils", "plays and records in the guest"),
    any("kmod", "resolves the dependencies of the guest's kernel modules"),
    any("valgrind", "counts the rings' instructions"),
    any("xz-utils", "unpacks the guest's kernel modules"),
];

/// The packages that a release needs.
pub(super) fn needed(release: Debian) -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(move |package| package.only.is_none_or(|only| only == release))
}

/// Their names.
pub(super) fn names(release: Debian) -> Vec<&'static str> {
    needed(release).map(|package| package.name).collect()
}
