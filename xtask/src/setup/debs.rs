//! Packages that are downloaded and unpacked, but not installed.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::network::BOUNDED;
use crate::command::quietly;

/// Downloads packages and unpacks them into a directory. `what` names the content.
pub(super) fn unpack(sh: &Shell, what: &str, packages: &[&str], to: &Path) -> Result<()> {
    let debs = tempfile::tempdir_in(to)?;
    let at = debs.path();
    let download = cmd!(sh, "env --chdir={at} apt-get {BOUNDED...} download {packages...}");
    quietly(&format!("downloading {what}"), download)
        .with_context(|| format!("cannot download {}", packages.join(", ")))?;
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            quietly(&format!("unpacking {what}"), cmd!(sh, "dpkg-deb --extract {path} {to}"))?;
        }
    }
    Ok(())
}
