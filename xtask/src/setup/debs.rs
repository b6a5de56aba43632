//! Packages that are downloaded and unpacked, but not installed.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
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
    let mut list = Vec::new();
    for entry in fs::read_dir(at)? {
        list.extend_from_slice(entry?.path().as_os_str().as_bytes());
        list.push(0);
    }
    let names = at.join("names");
    fs::write(&names, list)?;
    // One command for all packages: there can be hundreds. xargs would replace `DEB` in the name of
    // the directory, too, so the name is not an argument.
    let each = ["--replace=DEB", "dpkg-deb", "--extract", "DEB", "."];
    let unpack = cmd!(sh, "env --chdir={to} xargs --null --arg-file={names} {each...}");
    quietly(&format!("unpacking {what}"), unpack)
}
