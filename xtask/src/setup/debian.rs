//! The Debian releases that set-up supports.

/// A supported Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Debian {
    /// Debian 12. QEMU and PipeWire come from the backports, because the release's own versions are
    /// too old.
    Bookworm,
    /// Debian 13, which has every package.
    Trixie,
}

/// A backports suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backports {
    /// The release that the suite extends, on the same mirrors.
    pub(super) of: &'static str,
    /// The name of the suite.
    pub(super) suite: &'static str,
}

impl Debian {
    /// Returns the release that an os-release file describes, if set-up supports the release.
    pub(super) fn from_os_release(os_release: &str) -> Option<Self> {
        match (value(os_release, "ID")?, value(os_release, "VERSION_ID")?) {
            ("debian", "12") => Some(Self::Bookworm),
            ("debian", "13") => Some(Self::Trixie),
            _ => None,
        }
    }

    /// Returns the name of the release in package sources.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Returns the suite with newer packages, if set-up needs one for this release.
    pub(super) fn backports(self) -> Option<Backports> {
        match self {
            Self::Bookworm => Some(Backports { of: "bookworm", suite: "bookworm-backports" }),
            Self::Trixie => None,
        }
    }
}

/// Returns the value of a variable in an os-release file.
pub(super) fn value<'t>(os_release: &'t str, name: &str) -> Option<&'t str> {
    let mut values = os_release.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next().map(|value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supported_releases_are_recognised() {
        let bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(Debian::from_os_release(bookworm), Some(Debian::Bookworm));
        assert_eq!(Debian::from_os_release("ID=debian\nVERSION_ID=13\n"), Some(Debian::Trixie));
        assert_eq!(Debian::from_os_release("ID=other\nVERSION_ID=12\n"), None);
    }
}
