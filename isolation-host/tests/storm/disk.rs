//! A disk in a process of its own: a vhost-user device that serves requests from a file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{copy, sink, stdin};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, exit};
use std::time::Instant;

use ring_core::Features;
use rustix::event::{PollFd, PollFlags, poll};

use crate::support::TIMEOUT;
use crate::support::device::{Offer, Queue, TestDevice};

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
            self.serve_connection(TestDevice::accept(&listener, self.offer));
        }
    }

    fn serve_connection(&self, mut device: TestDevice) {
        let mut queues: BTreeMap<u32, Queue> = BTreeMap::new();
        loop {
            let kicks = device.vrings.values().filter_map(|vring| vring.kick.as_ref());
            let mut fds = vec![PollFd::new(&device.channel, PollFlags::IN)];
            fds.extend(kicks.map(|kick| PollFd::from_borrowed_fd(kick.as_fd(), PollFlags::IN)));
            poll(&mut fds, None).unwrap();
            let message = !fds[0].revents().is_empty();
            drop(fds);
            if message {
                if device.step(Instant::now() + TIMEOUT).is_none() {
                    return;
                }
                queues.retain(|index, _| device.vrings.contains_key(index));
            }
            for (index, vring) in &device.vrings {
                let Some(kick) = &vring.kick else { continue };
                let queue = queues.entry(*index).or_insert_with(|| device.queue(*index));
                let _ = rustix::io::read(kick, &mut [0; 8]);
                while self.serve_request(&device, *index, queue) || queue.arm() == ring_core::Arm::Pending {}
            }
        }
    }

    fn serve_request(&self, device: &TestDevice, index: u32, queue: &mut Queue) -> bool {
        device.serve_if_any(index, queue, |bytes, room| {
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
        })
    }
}
