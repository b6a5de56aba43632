//! What the `Cargo.toml` of a package says.

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, TargetKind};
use xshell::Shell;

use crate::workspace;

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
        let metadata = workspace::describe(workspace::without_dependencies(sh))?;
        names.iter().map(|name| Self::of(&metadata, name)).collect()
    }

    /// Takes one crate's definition from what Cargo says of the workspace.
    fn of(metadata: &Metadata, name: &str) -> Result<Self> {
        let package = workspace::package(metadata, name)?;
        let maintainer = package.metadata["deb"]["maintainer"].as_str();
        let programs = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
        Ok(Self {
            name: name.to_owned(),
            version: package.version.to_string(),
            maintainer: maintainer
                .with_context(|| format!("{name}/Cargo.toml names no maintainer"))?
                .to_owned(),
            programs: programs.map(|target| target.name.clone()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_of_a_crate_are_found() -> Result<()> {
        let sh = Shell::new()?;
        let definition = Definition::read(&sh, &["snd-host"])?.remove(0);
        assert_eq!(definition.programs, ["snd-host", "snd-host-audio"]);
        assert_eq!(definition.version, env!("CARGO_PKG_VERSION"));
        assert!(Definition::read(&sh, &["ring-core"]).is_err(), "a package without a maintainer");
        assert!(Definition::read(&sh, &["absent"]).is_err());
        Ok(())
    }
}
