//! Waits while another process installs packages.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::root::LOCKED_FOR;

/// The files that apt and dpkg lock.
const FILES: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
];
/// The time between two looks at the locks. The kernel does not report the end of another process's
/// lock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A process that has locked a file.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    id: i32,
    name: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id)
    }
}

/// Waits until no process installs packages, and says which process is waited for. apt itself waits
/// without a word.
pub(super) fn wait() -> Result<()> {
    let deadline = Instant::now() + LOCKED_FOR;
    let mut named = None;
    while let Some(owner) = FILES.iter().find_map(|file| owner(Path::new(file))) {
        if Instant::now() >= deadline {
            bail!("{owner} still installs packages; run the task again when this process has ended");
        }
        if named.as_ref() != Some(&owner) {
            println!("waiting for {owner}, which installs packages");
        }
        named = Some(owner);
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Returns the process that has locked a file. Does not open the file, which only root may do.
fn owner(file: &Path) -> Option<Owner> {
    let metadata = fs::metadata(file).ok()?;
    let id = locked_by(&fs::read_to_string("/proc/locks").ok()?, metadata.dev(), metadata.ino())?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_else(|_| "a program".to_owned());
    Some(Owner { id, name: name.trim().to_owned() })
}

/// Takes the id of the process that has locked a file from lines like "1: POSIX ADVISORY WRITE ID
/// MAJOR:MINOR:INODE 0 EOF", where device numbers are hexadecimal.
fn locked_by(locks: &str, device: u64, inode: u64) -> Option<i32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        // A process that waits for a lock has an arrow in its line.
        let id = words.nth(4).filter(|_| !line.contains("->"))?;
        (words.next()? == file).then(|| id.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, fcntl_lock};

    use super::*;

    #[test]
    fn the_process_that_has_locked_a_file_is_found() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert_eq!(owner(file.path()), None);
        fcntl_lock(&file, FlockOperation::LockExclusive)?;
        let owner = owner(file.path()).map(|owner| owner.id);
        assert_eq!(owner, Some(i32::try_from(std::process::id())?));
        Ok(())
    }

    #[test]
    fn a_process_that_waits_for_a_lock_has_not_locked_the_file() {
        let locks = "1: FLOCK  ADVISORY  WRITE 7 00:1a:5 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 8 fe:00:9 0 EOF\n\
                     2: -> POSIX  ADVISORY  WRITE 9 fe:00:9 0 EOF\n";
        assert_eq!(locked_by(locks, rustix::fs::makedev(0xfe, 0), 9), Some(8));
        assert_eq!(locked_by(locks, rustix::fs::makedev(0, 0x1a), 9), None);
    }
}
