//! The machine that this program runs on.

use std::env::consts::ARCH;
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::debian::{Debian, value};
use super::packages::{self, Purpose};

/// Returns the Debian release of this machine. Fails on a machine that set-up does not support, and
/// says what to install there.
pub(super) fn release(purpose: Purpose) -> Result<Debian> {
    if ARCH != "x86_64" {
        bail!("set-up supports only x86-64, because the guest kernel is built for x86-64; this is {ARCH}");
    }
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Debian::from_os_release(&os_release).with_context(|| unsupported(&os_release, purpose))
}

fn unsupported(os_release: &str, purpose: Purpose) -> String {
    format!(
        "set-up supports Debian 12 and 13, and this is {}; install what Debian calls {}, and run the \
         tests that need no guest with `cargo test`",
        value(os_release, "PRETTY_NAME").unwrap_or("another system"),
        packages::names(Debian::Trixie, purpose).join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_for_another_system_lists_the_packages() {
        let message = unsupported("PRETTY_NAME=\"Other 1\"\nID=other\nVERSION_ID=12\n", Purpose::Demo);
        assert!(message.contains("this is Other 1"), "{message}");
        assert!(message.contains("qemu-system-x86"), "{message}");
    }
}
