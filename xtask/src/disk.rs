//! Finds full file systems, to explain the failure of a command whose output is not captured.

use std::env;
use std::path::{Path, PathBuf};

use end_to_end::artifacts::target_dir;
use rustix::fs::statvfs;

/// A file system with less room counts as full: a compiler or linker has just failed to write more.
const ROOM_BYTES: u64 = 1 << 20;

/// Returns the directories that this program's commands write to and that have no room.
pub(crate) fn full() -> Vec<PathBuf> {
    let directories = target_dir().into_iter().chain([env::temp_dir(), PathBuf::from("/var")]);
    directories.filter(|directory| room(directory).is_some_and(|bytes| bytes < ROOM_BYTES)).collect()
}

/// Returns the number of bytes that can be written below a directory, if the system reports the
/// number.
fn room(directory: &Path) -> Option<u64> {
    let system = statvfs(directory).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_blocks_has_no_room() {
        assert_eq!(room(Path::new("/proc")), Some(0));
        assert_eq!(room(Path::new("/no/such/directory")), None);
    }
}
