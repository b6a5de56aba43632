//! The oldest supported version of Rust, with a real compiler of this version.

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use super::link::on;
use crate::command::quietly;
use crate::setup::Rust;
use crate::workspace;

/// The packages that build with the version.
const PACKAGES: [&str; 3] = ["ring-core", "vhost-ring", "isolation-host"];

/// Checks each package on its own, because a package alone has only the features that it asks for.
pub(super) fn check(sh: &Shell, rust: &Rust) -> Result<()> {
    let version = on(rust, cmd!(sh, "rustc --version"))?.read()?;
    let version = major_minor(&version).with_context(|| format!("`{version}` is not a version of rustc"))?;
    let metadata = workspace::describe(on(rust, workspace::without_dependencies(sh))?)?;
    for package in PACKAGES {
        let stated = workspace::package(&metadata, package)?.rust_version.as_ref();
        let stated = stated.with_context(|| format!("{package} has no rust-version"))?;
        let stated = format!("{}.{}", stated.major, stated.minor);
        if stated != version {
            bail!("{package} states Rust {stated}, but is checked with Rust {version}; state the latter");
        }
        let check = cmd!(sh, "cargo check --package {package} --all-features");
        quietly(&format!("checking {package} with Rust {version}"), on(rust, check)?)?;
    }
    println!("Built with Rust {version}: {}", PACKAGES.join(", "));
    Ok(())
}

/// Returns "1.85" from "rustc 1.85.1 (…)".
fn major_minor(version: &str) -> Option<String> {
    let mut numbers = version.strip_prefix("rustc ")?.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_without_the_last_number() {
        assert_eq!(major_minor("rustc 1.85.1 (4eb161250 2025-03-15)").as_deref(), Some("1.85"));
        assert_eq!(major_minor("error"), None);
    }
}
