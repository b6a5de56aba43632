//! A copy of ring-core and the fuzz targets with one bound removed.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// The file with the bound.
const FILE: &str = "ring-core/src/split/device.rs";
const BOUND: &str = "if index >= size {";
const WITHOUT: &str = "if !cfg!(planted) && index >= size {";

/// The target that reaches the bound.
pub(super) const TARGET: &str = "split_device";
/// A part of the message of the panic that follows.
pub(super) const SYMPTOM: &str = "in an area of";

/// Replaces `directory` with the copy, in which `--cfg planted` removes the bound.
pub(super) fn copy(sh: &Shell, directory: &Path) -> Result<()> {
    sh.remove_path(directory)?;
    for path in cmd!(sh, "git ls-files --cached --others --exclude-standard").read()?.lines() {
        if path.starts_with("ring-core/") || path.starts_with("fuzz/") || !path.contains('/') {
            let copy = directory.join(path);
            // Copying a file does not create its directory.
            sh.create_dir(copy.parent().unwrap_or(directory))?;
            sh.copy_file(path, copy)?;
        }
    }
    let manifest = directory.join("Cargo.toml");
    fs::write(&manifest, with_one_member(&fs::read_to_string(&manifest)?))?;

    let file = directory.join(FILE);
    let source = fs::read_to_string(&file)?;
    if source.matches(BOUND).count() != 1 {
        bail!("{FILE} does not have `{BOUND}` exactly once; choose another bound in {}", file!());
    }
    fs::write(file, source.replace(BOUND, WITHOUT))?;
    Ok(())
}

/// Returns the manifest of the workspace, with ring-core as the only member.
fn with_one_member(manifest: &str) -> String {
    let lines = manifest
        .lines()
        .map(|line| if line.starts_with("members") { "members = [\"ring-core\"]" } else { line });
    lines
        .filter(|line| !line.starts_with("default-members"))
        .fold(String::new(), |all, line| all + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_in_the_file_once() -> Result<()> {
        let source = fs::read_to_string(Path::new("..").join(FILE))?;
        assert_eq!(source.matches(BOUND).count(), 1);
        Ok(())
    }

    #[test]
    fn the_copy_lacks_the_bound_and_has_the_fuzz_targets() -> Result<()> {
        let sh = Shell::new()?;
        sh.change_dir("..");
        let directory = tempfile::tempdir()?;
        copy(&sh, &directory.path().join("planted"))?;
        let copied = |path| fs::read_to_string(directory.path().join("planted").join(path));
        assert!(copied(FILE)?.contains(WITHOUT));
        assert!(copied("fuzz/Cargo.toml")?.contains(TARGET));
        Ok(())
    }

    #[test]
    fn the_copied_workspace_has_one_member() {
        let manifest = "[workspace]\nmembers = [\"a\", \"b\"]\ndefault-members = [\"b\"]\nexclude = []\n";
        assert_eq!(with_one_member(manifest), "[workspace]\nmembers = [\"ring-core\"]\nexclude = []\n");
    }
}
