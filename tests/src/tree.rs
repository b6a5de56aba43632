//! Directory trees in which all files differ, and the comparison of two trees.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The permissions of the files, which the files have in turn.
const MODES: [u32; 6] = [0o644, 0o600, 0o755, 0o444, 0o640, 0o4755];
/// The number of files and links in a directory. Every tenth is a link.
const FILES: usize = 40;
/// The number of directories in a directory.
const DIRECTORIES: usize = 5;

/// The entries of a tree, by their path relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, Entry>);

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory {
        /// The permissions.
        mode: u32,
    },
    /// A regular file.
    File {
        /// The permissions.
        mode: u32,
        /// The size in bytes.
        size: usize,
        /// The hash of the content.
        checksum: u64,
    },
    /// A symbolic link.
    Link {
        /// The target, which need not exist.
        target: PathBuf,
    },
}

impl Tree {
    /// Makes a tree with `files` files and links, and with the directories that contain them.
    ///
    /// # Errors
    /// Fails if an entry cannot be created.
    pub fn make(root: &Path, files: usize) -> io::Result<Self> {
        for index in 0..files {
            let number = index / FILES;
            let directory = root.join(format!("{}/{number} Ä", number / DIRECTORIES));
            if index % FILES == 0 {
                fs::create_dir_all(directory.join("empty"))?;
                fs::set_permissions(&directory, Permissions::from_mode(0o1700 | MODES[number % 6] & 0o77))?;
            }
            let path = directory.join(format!("{index} €"));
            if index % 10 == 9 {
                // Every other link is broken.
                symlink(format!("{} €", if index % 20 == 9 { index - 1 } else { index }), path)?;
            } else {
                fs::write(&path, content(index))?;
                fs::set_permissions(&path, Permissions::from_mode(MODES[index % MODES.len()]))?;
            }
        }
        Self::read(root)
    }

    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// Fails if an entry cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let entry = entry?;
                let path = directory.join(entry.file_name());
                let kind = entry.file_type()?;
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                let entry = if kind.is_dir() {
                    directories.push(path.clone());
                    Entry::Directory { mode }
                } else if kind.is_symlink() {
                    Entry::Link { target: fs::read_link(entry.path())? }
                } else {
                    let content = fs::read(entry.path())?;
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&content);
                    Entry::File { mode, size: content.len(), checksum: hasher.finish() }
                };
                entries.insert(path, entry);
            }
        }
        Ok(Self(entries))
    }

    /// Returns each difference: the path, the entry of this tree and the entry of the other tree.
    #[must_use]
    pub fn differences<'t>(
        &'t self,
        other: &'t Self,
    ) -> Vec<(&'t Path, Option<&'t Entry>, Option<&'t Entry>)> {
        let paths = self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path)));
        let both = paths.map(|path| (path.as_path(), self.0.get(path), other.0.get(path)));
        both.filter(|(_, here, there)| here != there).collect()
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mut directories, mut files, mut links, mut bytes] = [0; 4];
        for entry in self.0.values() {
            match entry {
                Entry::Directory { .. } => directories += 1,
                Entry::Link { .. } => links += 1,
                Entry::File { size, .. } => {
                    files += 1;
                    bytes += size;
                }
            }
        }
        write!(f, "{directories} directories, {links} links and {files} files of {bytes} bytes")
    }
}

/// Returns the content of a file.
///
/// Most files have less than 9 KiB, every tenth has 16 pages and a byte, and every fiftieth is
/// larger than a request can be.
fn content(index: usize) -> Vec<u8> {
    let size = match index {
        _ if index.is_multiple_of(50) => (1 << 20) + index,
        _ if index.is_multiple_of(10) => (1 << 16) + 1,
        _ => index * 37 % 9001,
    };
    // Pseudo-random words. The index of the file is the seed.
    let mut state = (index as u64) << 32 | 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    });
    words.flat_map(u32::to_le_bytes).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_difference_between_two_trees_is_found() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let [here, there] = ["here", "there"].map(|name| directory.path().join(name));
        let tree = Tree::make(&here, 100)?;
        assert_eq!(tree.to_string(), "7 directories, 10 links and 90 files of 2768018 bytes");
        assert_eq!(Tree::make(&there, 100)?.differences(&tree), []);

        fs::write(there.join("0/0 Ä/1 €"), "other")?;
        fs::set_permissions(there.join("0/0 Ä/2 €"), Permissions::from_mode(0o640))?;
        fs::remove_dir(there.join("0/1 Ä/empty"))?;
        fs::remove_file(there.join("0/0 Ä/9 €"))?;
        symlink("elsewhere", there.join("0/0 Ä/9 €"))?;
        fs::create_dir(there.join("new"))?;
        let other = Tree::read(&there)?;
        let differences: Vec<_> = tree.differences(&other).iter().map(|(path, ..)| path.to_owned()).collect();
        assert_eq!(differences, ["0/0 Ä/1 €", "0/0 Ä/2 €", "0/0 Ä/9 €", "0/1 Ä/empty", "new"].map(Path::new));
        Ok(())
    }
}
