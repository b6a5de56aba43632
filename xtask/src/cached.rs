//! Directories that are made only once from the same inputs.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The file that holds the inputs of a directory.
const INPUTS: &str = "inputs";

/// Fills `directory` with `make`, unless the directory was made from the same `inputs` before.
///
/// `make` fills a temporary directory beside `directory`, which is renamed at the end. An
/// interrupted run therefore leaves the old directory or no directory, but never a part of the new
/// directory.
pub(crate) fn directory(
    directory: &Path,
    inputs: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if fs::read_to_string(directory.join(INPUTS)).is_ok_and(|made_from| made_from == inputs) {
        return Ok(());
    }
    replace(directory, inputs, make).with_context(|| format!("cannot make {}", directory.display()))
}

fn replace(directory: &Path, inputs: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = directory.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let temporary = tempfile::tempdir_in(parent)?;
    make(temporary.path())?;
    fs::write(temporary.path().join(INPUTS), inputs)?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::rename(temporary.keep(), directory)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn the_same_inputs_make_a_directory_once() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let path = parent.path().join("made");
        let mut made = 0;
        for inputs in ["1", "1", "2"] {
            directory(&path, inputs, |new| {
                made += 1;
                Ok(fs::write(new.join("file"), inputs)?)
            })?;
        }
        assert_eq!(made, 2);
        assert_eq!(fs::read_to_string(path.join("file"))?, "2");
        Ok(())
    }

    #[test]
    fn a_failure_leaves_the_old_directory_and_no_temporary_files() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let path = parent.path().join("made");
        directory(&path, "1", |_| Ok(()))?;
        let failed = directory(&path, "2", |_| bail!("no"));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(path.join(INPUTS))?, "1");
        assert_eq!(fs::read_dir(parent.path())?.count(), 1);
        Ok(())
    }
}
