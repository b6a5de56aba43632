//! A disk in a process of its own: a vhost-user device that serves requests from a file.

use std::fs::{File, OpenOptions};
use std::io::{copy, sink, stdin};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, exit};

use ring_core::Features;

use crate::support::device::{Offer, TestDevice};

pub(crate) const SECTOR: usize = 512;
/// The types of requests (VIRTIO 1.4, 5.2.6 "Device Operation").
pub(crate) const READ: u32 = 0;
pub(crate) const WRITE: u32 = 1;
/// The length of the header of a request.
pub(crate) const HEADER: usize = 16;
/// The status of a request that has succeeded.
pub(crate) const OK: u8 = 0;

/// The variables by which a storm describes the disk to the disk's process.
const SOCKET: &str = "STORM_DISK_SOCKET";
const FILE: &str = "STORM_DISK_FILE";
const PACKED: &str = "STORM_DISK_PACKED";

/// The running process of a disk, which is killed on drop.
pub(crate) struct DiskProcess {
    command: Command,
    process: Child,
}

impl DiskProcess {
    /// Starts a disk that listens on `socket`.
    pub(crate) fn start(socket: &Path, file: &Path, packed: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serves_as_a_disk_until_it_is_killed", "--ignored"]);
        command.env(SOCKET, socket).env(FILE, file).env(PACKED, if packed { "1" } else { "0" });
        // The process ends when this end of its input is closed.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        Self { command, process }
    }

    /// Kills the process, with whatever it is doing.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the process again.
    pub(crate) fn restart(&mut self) {
        self.process = self.command.spawn().unwrap();
    }
}

impl Drop for DiskProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A disk, in its own process.
pub(crate) struct Disk {
    socket: PathBuf,
    file: File,
    offer: Offer,
}

impl Disk {
    /// Returns the disk that a storm has described, if this process was started by one.
    pub(crate) fn of_environment() -> Option<Self> {
        let variable = |name| std::env::var_os(name);
        let file = OpenOptions::new().read(true).write(true).open(variable(FILE)?).unwrap();
        let packed = if variable(PACKED)? == "1" { Features::RING_PACKED.bits() } else { 0 };
        let honest = Offer::default();
        let offer = Offer { features: honest.features | packed, ..honest };
        Some(Self { socket: variable(SOCKET)?.into(), file, offer })
    }

    /// Serves one connection after the other, until the process is killed or its parent ends.
    pub(crate) fn serve(&self) {
        std::thread::spawn(|| {
            let _ = copy(&mut stdin(), &mut sink());
            exit(0);
        });
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        loop {
            TestDevice::accept(&listener, self.offer).serve(|bytes, room| self.answer(bytes, room));
        }
    }

    /// Carries out a request. Returns the bytes that the disk writes.
    fn answer(&self, bytes: &[u8], room: usize) -> Vec<u8> {
        let (header, data) = bytes.split_at(HEADER);
        let sector = u64::from_le_bytes(header[8..].try_into().unwrap());
        let at = sector * SECTOR as u64;
        if header[..4] == WRITE.to_le_bytes() {
            self.file.write_all_at(data, at).unwrap();
            return vec![OK];
        }
        let mut answer = vec![OK; room];
        self.file.read_exact_at(&mut answer[..room - 1], at).unwrap();
        answer
    }
}
