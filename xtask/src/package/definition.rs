//! What the `Cargo.toml` of a package says.

use anyhow::{Context as _, Result};
use serde_json::Value;
use xshell::{Shell, cmd};

/// A crate whose programs are packaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// The name of the crate and of its packages.
    pub(super) name: String,
    /// The version of the crate.
    pub(super) version: String,
    /// The name and the address of the maintainers.
    pub(super) maintainer: String,
    /// The names of all programs of the crate.
    pub(super) programs: Vec<String>,
}

impl Definition {
    /// Reads the definitions of crates.
    pub(super) fn read(sh: &Shell, names: &[&str]) -> Result<Vec<Self>> {
        let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1").read()?;
        let metadata = serde_json::from_str(&metadata)?;
        names.iter().map(|name| Self::parse(&metadata, name)).collect()
    }

    /// Takes one crate's definition from the output of `cargo metadata`.
    fn parse(metadata: &Value, name: &str) -> Result<Self> {
        let package = list(&metadata["packages"]).find(|package| package["name"] == name);
        let package = package.with_context(|| format!("the workspace has no package {name}"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let is_program = |target: &&Value| list(&target["kind"]).any(|kind| kind == "bin");
        Ok(Self {
            name: name.to_owned(),
            version: text(&package["version"]).with_context(|| format!("{name} has no version"))?,
            maintainer: text(&package["metadata"]["deb"]["maintainer"])
                .with_context(|| format!("{name}/Cargo.toml names no maintainer"))?,
            programs: list(&package["targets"])
                .filter(is_program)
                .filter_map(|target| text(&target["name"]))
                .collect(),
        })
    }
}

/// Returns the values of an array, or none.
fn list(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_programs_of_a_crate_are_found() -> Result<()> {
        let target = |name, kind| json!({ "name": name, "kind": [kind] });
        let deb = json!({ "deb": { "maintainer": "Name <name@host>" } });
        let metadata = json!({ "packages": [
            { "name": "other", "targets": [target("other", "bin")] },
            { "name": "host", "version": "1.2.3", "metadata": deb,
              "targets": [target("host", "lib"), target("host", "bin"), target("helper", "bin")] },
        ] });
        let definition = Definition::parse(&metadata, "host")?;
        assert_eq!(definition.programs, ["host", "helper"]);
        assert!(Definition::parse(&metadata, "other").is_err(), "a package without a maintainer");
        assert!(Definition::parse(&metadata, "absent").is_err());
        Ok(())
    }
}
