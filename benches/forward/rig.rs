//! A VMM with one queue of a disk, and the processes behind it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use isolation_host::device_link::DeviceLink;
use isolation_host::mmap::Window;
use isolation_host::notifier;
use isolation_host::protocol::Channel;
use isolation_host::protocol::features::PROTOCOL_FEATURES;
use ring_core::memory::Memory as _;
use ring_core::{Arm, DriverQueue, Features, Segment, driver};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::read;
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;

/// Descriptors of the queue: enough for 32 requests without indirect tables.
const QUEUE: u16 = 128;
/// The memory of the VMM's guest.
const MEMORY: u64 = 128 << 20;
/// The disk.
pub(crate) const DISK: u64 = 256 << 20;
const SECTOR: u64 = 512;
/// Where each request has its header and status, and all of them their data.
const HEADERS: u64 = 4 << 20;
const STATUS: u64 = 16;
const DATA: u64 = 8 << 20;
/// The most bytes of a request.
const MOST_BYTES: u64 = 1 << 20;

/// What the disk's device has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Nothing: requests are done at once.
    Null,
    /// A file in memory.
    Tmpfs,
}

/// Which processors the three processes may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processors {
    /// The first one, all of them.
    One,
    /// Any.
    Any,
}

/// A disk, and a VMM that reads it.
pub(crate) struct Disk {
    memory: Window,
    queue: DriverQueue<Window, Box<[driver::Slot<u32>]>, u32>,
    kick: OwnedFd,
    call: OwnedFd,
    /// Where the next request reads.
    next: u64,
    _link: DeviceLink,
    /// In the order in which they are to end: isolation-host before the device.
    _processes: Vec<Process>,
    _directory: TempDir,
}

/// A process that is killed when nobody needs it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Disk {
    /// Starts a device, isolation-host in front of it if so wished, and connects.
    pub(crate) fn start(backing: Backing, forwarded: bool, processors: Processors) -> io::Result<Self> {
        // All three come before whatever else the machine does, if that is allowed.
        let _ = setpriority_process(None, -20);
        let directory = TempDir::new_in("/dev/shm")?;
        let mut processes = vec![start_device(backing, processors, directory.path())?];
        let mut socket = directory.path().join("device.sock");
        if forwarded {
            processes.insert(0, start_isolation_host(processors, directory.path())?);
            socket = directory.path().join("vmm.sock");
        }
        allow_this_thread(processors)?;
        let mut link = DeviceLink::new(Channel::new(connect(&socket)?.into())).map_err(io::Error::other)?;
        let wanted = (Features::VERSION_1 | Features::EVENT_IDX).bits() | PROTOCOL_FEATURES;
        link.set_features(link.features & wanted).map_err(io::Error::other)?;
        let features = link.ring_features();
        // To the device, what is an isolated area otherwise is the guest's memory.
        let area = link.area(MEMORY, 1).map_err(io::Error::other)?;
        let memory = area.window().clone();
        let setup = area.share(0, QUEUE, features).map_err(io::Error::other)?.setup;
        let slots = (0..QUEUE).map(|_| driver::Slot::EMPTY).collect();
        let queue = DriverQueue::new(memory.clone(), &setup, slots).map_err(io::Error::other)?;
        let (kick, call) = (notifier::new()?, notifier::new()?);
        link.start_queue(0, &setup, kick.as_fd(), call.as_fd()).map_err(io::Error::other)?;
        link.enable(0, true).map_err(io::Error::other)?;
        let (_processes, _directory) = (processes, directory);
        Ok(Self { memory, queue, kick, call, next: 0, _link: link, _processes, _directory })
    }

    /// Reads so many times `len` bytes, `depth` requests at a time, from one end of the disk to the other.
    pub(crate) fn read(&mut self, count: u64, len: u32, depth: u32) -> io::Result<()> {
        let mut free: Vec<u32> = (0..depth).collect();
        let (mut started, mut done) = (0, 0);
        while done < count {
            while started < count
                && let Some(place) = free.pop()
            {
                self.add(place, len)?;
                started += 1;
            }
            if self.queue.publish().is_needed() {
                notifier::notify(&self.kick);
            }
            let before = done;
            while let Some(used) = self.queue.reap().map_err(io::Error::other)? {
                self.accept(used.cookie, used.written, len)?;
                free.push(used.cookie);
                done += 1;
            }
            if done == before && self.queue.arm() == Arm::Armed {
                poll(&mut [PollFd::new(&self.call, PollFlags::IN)], None)?;
                let _ = read(&self.call, &mut [0; 8]);
            }
        }
        Ok(())
    }

    /// Reads the whole disk once and compares it with what it should be.
    pub(crate) fn check(&mut self, backing: Backing) -> io::Result<()> {
        const LEN: u32 = 1 << 20;
        for start in (0..DISK).step_by(LEN as usize) {
            self.next = start;
            self.read(1, LEN, 1)?;
            let mut bytes = vec![0; LEN as usize];
            self.memory.read_bytes(self.data(0), &mut bytes).map_err(io::Error::other)?;
            if backing == Backing::Tmpfs && bytes != content(start, LEN) {
                return Err(io::Error::other(format!("what was read at {start:#x} is not what is there")));
            }
        }
        Ok(())
    }

    fn data(&self, place: u32) -> u64 {
        self.memory.address() + DATA + u64::from(place) * MOST_BYTES
    }

    fn header(&self, place: u32) -> u64 {
        self.memory.address() + HEADERS + u64::from(place) * 64
    }

    fn add(&mut self, place: u32, len: u32) -> io::Result<()> {
        let (header, data) = (self.header(place), self.data(place));
        // VIRTIO 1.4, 5.2.6 "Device Operation": type 0 reads; then the sector. The status is overwritten.
        let words = [0, self.next / SECTOR, u64::MAX].map(u64::to_le_bytes);
        self.memory.write_bytes(header, words.as_flattened()).map_err(io::Error::other)?;
        let (readable, status) = (Segment::new(header, 16), Segment::new(header + STATUS, 1));
        let added = self.queue.add(&[readable], &[Segment::new(data, len), status], place);
        added.map_err(|error| io::Error::other(error.to_string()))?;
        self.next = (self.next + u64::from(len)) % DISK;
        Ok(())
    }

    fn accept(&self, place: u32, written: u32, len: u32) -> io::Result<()> {
        let mut status = [0xff];
        self.memory.read_bytes(self.header(place) + STATUS, &mut status).map_err(io::Error::other)?;
        if status != [0] || written != len + 1 {
            return Err(io::Error::other(format!("status {status:?}, {written} bytes of {len}")));
        }
        Ok(())
    }
}

/// What is on the disk: each word of eight bytes says where it is.
fn content(start: u64, len: u32) -> Vec<u8> {
    (start..start + u64::from(len)).step_by(8).flat_map(u64::to_le_bytes).collect()
}

fn start_device(backing: Backing, processors: Processors, directory: &Path) -> io::Result<Process> {
    let image = directory.join("disk.raw");
    let blockdev = match backing {
        Backing::Null => format!("driver=null-co,node-name=disk,size={DISK},read-zeroes=off"),
        Backing::Tmpfs => {
            let mut file = File::create(&image)?;
            for start in (0..DISK).step_by(1 << 20) {
                file.write_all(&content(start, 1 << 20))?;
            }
            format!("driver=file,node-name=disk,locking=off,filename={}", image.display())
        }
    };
    let socket = directory.join("device.sock");
    let export = format!(
        "type=vhost-user-blk,id=export,node-name=disk,writable=on,iothread=thread,addr.type=unix,addr.path={}",
        socket.display()
    );
    // Where it shares a processor it only holds the others up by polling.
    let polls = if processors == Processors::One { ",poll-max-ns=0" } else { "" };
    let thread = format!("iothread,id=thread{polls}");
    let mut command = allowed("qemu-storage-daemon".as_ref(), processors);
    command.args(["--object", &thread, "--blockdev", &blockdev, "--export", &export]);
    Ok(Process(command.spawn()?))
}

fn start_isolation_host(processors: Processors, directory: &Path) -> io::Result<Process> {
    // This program is in `deps`, beside the others.
    let program = std::env::current_exe()?.ancestors().nth(2).map(|path| path.join("isolation-host"));
    let program = program.filter(|path| path.exists()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "`cargo build --release -p isolation-host` comes first")
    })?;
    let path = |name| directory.join(name).display().to_string();
    let mut command = allowed(&program, processors);
    command
        .args(["--device", "blk", "--log", "warn", "--socket-path", &path("vmm.sock")])
        .args(["--device-socket", &format!("connect:{}", path("device.sock"))]);
    Ok(Process(command.spawn()?))
}

/// A program that may use these processors only.
fn allowed(program: &Path, processors: Processors) -> Command {
    match processors {
        Processors::Any => Command::new(program),
        Processors::One => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", "0"]).arg(program);
            command
        }
    }
}

/// The same for the thread that measures.
fn allow_this_thread(processors: Processors) -> io::Result<()> {
    let mut set = CpuSet::new();
    let count = if processors == Processors::One { 1 } else { CpuSet::MAX_CPU };
    (0..count).for_each(|index| set.set(index));
    Ok(sched_setaffinity(None, &set)?)
}

/// Connects to a socket as soon as somebody listens there.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixStream::connect(socket) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            connected => return connected,
        }
    }
}
