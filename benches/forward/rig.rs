//! A VMM with one queue of a disk, and the device processes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use isolation_host::device_link::{DeviceLink, Handshake};
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

/// The size of the queue, which holds 32 requests without indirect tables.
const QUEUE: u16 = 128;
/// The size of the guest's memory.
const MEMORY: u64 = 128 << 20;
/// The size of the disk.
pub(crate) const DISK: u64 = 256 << 20;
const SECTOR: u64 = 512;
/// The offsets in memory: the headers of all requests, the status behind a header, and the data of
/// all requests.
const HEADERS: u64 = 4 << 20;
const STATUS: u64 = 16;
const DATA: u64 = 8 << 20;
/// The bytes of the largest request.
const MOST_BYTES: u64 = 1 << 20;

/// The storage behind the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// None: requests complete at once.
    Null,
    /// A file in memory.
    Tmpfs,
}

/// The processors that the three processes may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processors {
    /// Only the first processor.
    One,
    /// Any processor.
    Any,
}

/// A disk, and a VMM that reads the disk.
pub(crate) struct Disk {
    memory: Window,
    queue: DriverQueue<Window, Box<[driver::Slot<u32>]>, u32>,
    kick: OwnedFd,
    call: OwnedFd,
    /// The offset on the disk that the next request reads.
    next: u64,
    _link: (DeviceLink, Channel),
    /// The processes in the order in which they end: isolation-host before the device.
    _processes: Vec<Process>,
    _directory: TempDir,
}

/// How long a device may take to reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Performs the handshake with a device.
fn meet(channel: &mut Channel) -> io::Result<DeviceLink> {
    let mut handshake = Handshake::default();
    loop {
        while let Some(message) = handshake.next_message(Instant::now()) {
            channel.send(&message).map_err(io::Error::other)?;
        }
        let reply = channel.receive_by(Instant::now() + REPLY_TIMEOUT).map_err(io::Error::other)?;
        if handshake.receive(reply, Instant::now()).map_err(io::Error::other)? {
            return handshake.complete().map_err(io::Error::other);
        }
    }
}

/// Sends all messages to the device, and waits for the replies.
fn settle(link: &mut DeviceLink, channel: &mut Channel) -> io::Result<()> {
    loop {
        while let Some(message) = link.next_message(Instant::now()) {
            channel.send(&message).map_err(io::Error::other)?;
        }
        if link.deadline().is_none() {
            return Ok(());
        }
        let reply = channel.receive_by(Instant::now() + REPLY_TIMEOUT).map_err(io::Error::other)?;
        link.receive(reply, Instant::now()).map_err(io::Error::other)?;
    }
}

/// A process that is killed on drop.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Disk {
    /// Starts a device, with isolation-host in front of it if `forwarded` is set, and connects.
    pub(crate) fn start(backing: Backing, forwarded: bool, processors: Processors) -> io::Result<Self> {
        // The three processes take precedence over other load, if this process has the privilege.
        let _ = setpriority_process(None, -20);
        let directory = TempDir::new_in("/dev/shm")?;
        let mut processes = vec![start_device(backing, processors, directory.path())?];
        let mut socket = directory.path().join("device.sock");
        if forwarded {
            processes.insert(0, start_isolation_host(processors, directory.path())?);
            socket = directory.path().join("vmm.sock");
        }
        allow_this_thread(processors)?;
        let mut channel = Channel::new(connect(&socket)?.into());
        let mut link = meet(&mut channel)?;
        let wanted = (Features::VERSION_1 | Features::EVENT_IDX).bits() | PROTOCOL_FEATURES;
        link.set_features(link.features & wanted).map_err(io::Error::other)?;
        let features = link.ring_features();
        // The device takes this area for the guest's memory.
        let area = link.area(MEMORY, 1).map_err(io::Error::other)?;
        let memory = area.window().clone();
        let setup = area.share(0, QUEUE, features).map_err(io::Error::other)?.setup;
        let slots = (0..QUEUE).map(|_| driver::Slot::EMPTY).collect();
        let queue = DriverQueue::new(memory.clone(), &setup, slots).map_err(io::Error::other)?;
        let (kick, call) = (notifier::new()?, notifier::new()?);
        link.start_queue(0, &setup, queue.position(), kick.as_fd(), call.as_fd())
            .map_err(io::Error::other)?;
        link.enable(0, true);
        settle(&mut link, &mut channel)?;
        let (_processes, _directory) = (processes, directory);
        Ok(Self { memory, queue, kick, call, next: 0, _link: (link, channel), _processes, _directory })
    }

    /// Reads `len` bytes `count` times, with `depth` requests in flight, from one end of the disk
    /// to the other.
    pub(crate) fn read(&mut self, count: u64, len: u32, depth: u32) -> io::Result<()> {
        let mut free: Vec<u32> = (0..depth).collect();
        let (mut started, mut done) = (0, 0);
        while done < count {
            while started < count
                && let Some(slot) = free.pop()
            {
                self.add(slot, len)?;
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

    /// Reads the whole disk once and compares the content.
    pub(crate) fn check(&mut self, backing: Backing) -> io::Result<()> {
        const LEN: u32 = 1 << 20;
        for start in (0..DISK).step_by(LEN as usize) {
            self.next = start;
            self.read(1, LEN, 1)?;
            let mut bytes = vec![0; LEN as usize];
            self.memory.read_bytes(self.data(0), &mut bytes).map_err(io::Error::other)?;
            if backing == Backing::Tmpfs && bytes != content(start, LEN) {
                return Err(io::Error::other(format!(
                    "the bytes read at {start:#x} differ from those on the disk"
                )));
            }
        }
        Ok(())
    }

    fn data(&self, slot: u32) -> u64 {
        self.memory.address() + DATA + u64::from(slot) * MOST_BYTES
    }

    fn header(&self, slot: u32) -> u64 {
        self.memory.address() + HEADERS + u64::from(slot) * 64
    }

    fn add(&mut self, slot: u32, len: u32) -> io::Result<()> {
        let (header, data) = (self.header(slot), self.data(slot));
        // VIRTIO 1.4, 5.2.6 "Device Operation": type 0 reads; then the sector. The status is
        // overwritten.
        let words = [0, self.next / SECTOR, u64::MAX].map(u64::to_le_bytes);
        self.memory.write_bytes(header, words.as_flattened()).map_err(io::Error::other)?;
        let (readable, status) = (Segment::new(header, 16), Segment::new(header + STATUS, 1));
        let added = self.queue.add(&[readable], &[Segment::new(data, len), status], slot);
        added.map_err(|error| io::Error::other(error.to_string()))?;
        self.next = (self.next + u64::from(len)) % DISK;
        Ok(())
    }

    fn accept(&self, slot: u32, written: u32, len: u32) -> io::Result<()> {
        let mut status = [0xff];
        self.memory.read_bytes(self.header(slot) + STATUS, &mut status).map_err(io::Error::other)?;
        if status != [0] || written != len + 1 {
            return Err(io::Error::other(format!("status {status:?}, {written} bytes of {len}")));
        }
        Ok(())
    }
}

/// Returns the content of the disk. Each word of eight bytes holds its own offset.
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
    // A device that polls would keep the other two processes off a shared processor.
    let polls = if processors == Processors::One { ",poll-max-ns=0" } else { "" };
    let thread = format!("iothread,id=thread{polls}");
    let mut command = allowed("qemu-storage-daemon".as_ref(), processors);
    command.args(["--object", &thread, "--blockdev", &blockdev, "--export", &export]);
    Ok(Process(command.spawn()?))
}

fn start_isolation_host(processors: Processors, directory: &Path) -> io::Result<Process> {
    // This program is in `deps`, one directory below the programs.
    let program = std::env::current_exe()?.ancestors().nth(2).map(|path| path.join("isolation-host"));
    let program = program.filter(|path| path.exists()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "isolation-host is not built; run `cargo build --release -p isolation-host` first",
        )
    })?;
    let path = |name| directory.join(name).display().to_string();
    let mut command = allowed(&program, processors);
    command
        .args(["--device", "blk", "--log", "warn", "--socket-path", &path("vmm.sock")])
        .args(["--device-socket", &format!("connect:{}", path("device.sock"))]);
    Ok(Process(command.spawn()?))
}

/// Returns a command that restricts a program to these processors.
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

/// Restricts this thread, which measures, to these processors.
fn allow_this_thread(processors: Processors) -> io::Result<()> {
    let mut set = CpuSet::new();
    let count = if processors == Processors::One { 1 } else { CpuSet::MAX_CPU };
    (0..count).for_each(|index| set.set(index));
    Ok(sched_setaffinity(None, &set)?)
}

/// Connects to a socket as soon as a process listens there.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixStream::connect(socket) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            connected => return connected,
        }
    }
}
