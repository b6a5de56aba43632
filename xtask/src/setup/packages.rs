//! The packages that the project needs, and why.

/// A Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// The oldest version that will do. Debian 12 takes such a package from its backports.
    pub(super) minimum: Option<&'static str>,
    /// What it is needed for. It is printed when the package is installed.
    pub(super) why: &'static str,
}

const fn any(name: &'static str, why: &'static str) -> Package {
    Package { name, minimum: None, why }
}

/// All packages.
pub(super) const PACKAGES: &[Package] = &[
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
        why: "runs the guest; vhost-user-snd-pci is new in 9.0",
    },
    Package {
        name: "qemu-utils",
        minimum: Some("1:9.0"),
        why: "qemu-storage-daemon, a device for isolation-host to forward to",
    },
    any("busybox-static", "is the guest's user space"),
    any("alsa-utils", "plays and records in the guest"),
    any("kmod", "resolves the dependencies of the guest's kernel modules"),
    any("valgrind", "counts the rings' instructions"),
    any("xz-utils", "unpacks the guest's kernel modules"),
];

/// The names of all packages.
pub(super) fn names() -> Vec<&'static str> {
    PACKAGES.iter().map(|package| package.name).collect()
}
