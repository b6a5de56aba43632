//! The oldest supported version of Rust, with a real compiler of this version.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

use super::link::on;
use crate::command::quietly;
use crate::setup::Rust;

/// The packages that build with the version.
const PACKAGES: [&str; 3] = ["ring-core", "vhost-ring", "isolation-host"];

/// Checks each package on its own, because a package alone has only the features that it asks for.
pub(super) fn check(sh: &Shell, rust: &Rust) -> Result<()> {
    let version = on(rust, cmd!(sh, "rustc --version"))?.read()?;
    let version = major_minor(&version).with_context(|| format!("`{version}` is not a version of rustc"))?;
    let metadata = on(rust, cmd!(sh, "cargo metadata --no-deps --format-version 1"))?.read()?;
    let metadata = serde_json::from_str(&metadata)?;
    for package in PACKAGES {
        let stated =
            stated_version(&metadata, package).with_context(|| format!("{package} has no rust-version"))?;
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

/// Returns the `rust-version` of a package.
fn stated_version<'m>(metadata: &'m Value, package: &str) -> Option<&'m str> {
    let mut packages = metadata["packages"].as_array()?.iter();
    packages.find(|candidate| candidate["name"] == package)?["rust_version"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_compared_without_the_last_number() {
        assert_eq!(major_minor("rustc 1.85.1 (4eb161250 2025-03-15)").as_deref(), Some("1.85"));
        assert_eq!(major_minor("error"), None);
    }

    #[test]
    fn the_stated_version_is_that_of_the_package() {
        let metadata = json!({ "packages": [
            { "name": "a", "rust_version": "1.92" },
            { "name": "b", "rust_version": "1.85" },
            { "name": "c", "rust_version": null },
        ] });
        assert_eq!(stated_version(&metadata, "b"), Some("1.85"));
        assert_eq!(stated_version(&metadata, "c"), None);
    }
}
