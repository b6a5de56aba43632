//! Which Debian this is. Set-up knows two.

use std::env::consts::ARCH;
use std::fs;

use anyhow::{Result, bail};

use super::packages;

/// A Debian release that set-up knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Debian {
    /// Debian 12, whose QEMU is too old; backports has a newer one.
    Bookworm,
    /// Debian 13, which has all.
    Trixie,
}

impl Debian {
    /// The release of the machine that this runs on.
    pub(super) fn this_machine() -> Result<Self> {
        if ARCH != "x86_64" {
            bail!("set-up knows x86-64 only, and this is {ARCH}: the guest's kernel is for that");
        }
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self::from_os_release(&os_release)
    }

    fn from_os_release(os_release: &str) -> Result<Self> {
        let value = |name: &str| {
            let lines = os_release.lines();
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            values.next().map(|value| value.trim_matches('"'))
        };
        match (value("ID"), value("VERSION_ID")) {
            (Some("debian"), Some("12")) => Ok(Self::Bookworm),
            (Some("debian"), Some("13")) => Ok(Self::Trixie),
            _ => bail!(
                "set-up knows Debian 12 and 13, and this is {}; on another system install by hand \
                 what Debian calls {}, and run the tests that need no guest with `cargo test`",
                value("PRETTY_NAME").unwrap_or("neither"),
                packages::names(Self::Trixie).join(" ")
            ),
        }
    }

    /// The suite with newer packages for this release, where set-up needs it.
    pub(super) fn backports(self) -> Option<Backports> {
        match self {
            Self::Bookworm => Some(Backports { of: "bookworm", suite: "bookworm-backports" }),
            Self::Trixie => None,
        }
    }
}

/// A backports suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backports {
    /// The release it is for; it is on the same mirrors.
    pub(super) of: &'static str,
    /// Its name.
    pub(super) suite: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_releases_are_recognised() {
        let bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(Debian::from_os_release(bookworm).ok(), Some(Debian::Bookworm));
        let trixie = "ID=debian\nVERSION_ID=13\n";
        assert_eq!(Debian::from_os_release(trixie).ok(), Some(Debian::Trixie));
    }

    #[test]
    fn any_other_system_is_told_what_to_install() {
        let other = Debian::from_os_release("PRETTY_NAME=\"Other 1\"\nID=other\nVERSION_ID=12\n");
        let message = other.map_err(|error| error.to_string()).err().unwrap_or_default();
        assert!(message.contains("this is Other 1"), "{message}");
        assert!(message.contains("qemu-system-x86"), "{message}");
    }
}
