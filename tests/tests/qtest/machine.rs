//! A QEMU in which the test takes the guest's place: the test accesses memory and device registers
//! over QEMU's qtest protocol.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use end_to_end::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The limit for every wait. Only a test that fails reaches the limit.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The size of the guest's memory.
pub(crate) const RAM: u64 = 64 << 20;
/// The address of the registers of the first device on the virtio-mmio bus of a microvm. Later
/// devices have lower addresses.
const REGISTERS: u64 = 0xfeb0_2e00;
/// The size of the queues.
const QUEUE: u64 = 8;
/// The addresses of the rings and of the buffers of a queue.
const RINGS: u64 = 0x10_0000;
const RING_STEP: u64 = 0x10000;

/// QEMU's arguments.
const FIXED: &str = "-accel tcg -M microvm,memory-backend=mem,rtc=off,pic=off,pit=off -m 64M -nodefaults \
                     -no-user-config -display none -global virtio-mmio.force-legacy=false -qtest-log none";

/// A running QEMU.
pub(crate) struct Machine {
    pub(crate) process: Process,
    commands: UnixStream,
    replies: BufReader<UnixStream>,
    /// The number of requests on each queue so far.
    requests: [u64; 2],
}

impl Machine {
    /// Starts QEMU with memory from `backend` and the device of `arguments`.
    ///
    /// The firmware halts the processor, so the tests do not need the qtest accelerator, which
    /// Debian's QEMU lacks.
    pub(crate) fn start(
        directory: &Path,
        backend: &str,
        arguments: &[String],
    ) -> Result<Self, Box<dyn Error>> {
        let (firmware, socket) = (directory.join("halt.bin"), directory.join("qtest.sock"));
        std::fs::write(&firmware, [0xf4; 0x1_0000])?;
        let listener = UnixListener::bind(&socket)?;
        let own = [
            "-bios".to_owned(),
            firmware.display().to_string(),
            "-qtest".to_owned(),
            format!("unix:{}", socket.display()),
            "-object".to_owned(),
            format!("{backend},id=mem,size=64M,share=on"),
        ];
        let all = FIXED.split(' ').map(str::to_owned).chain(own).chain(arguments.iter().cloned());
        let mut process = Process::start("qemu-system-x86_64", all)?;
        let limit = Timespec::try_from(TIMEOUT)?;
        if poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&limit))? == 0 {
            return Err(process.tail().into());
        }
        let (commands, _) = listener.accept()?;
        commands.set_read_timeout(Some(TIMEOUT))?;
        let replies = BufReader::new(commands.try_clone()?);
        Ok(Self { process, commands, replies, requests: [0; 2] })
    }

    /// Executes a command and returns what follows `OK`.
    fn command(&mut self, command: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.commands, "{command}")?;
        let mut reply = String::new();
        self.replies.read_line(&mut reply)?;
        let value = reply.trim().strip_prefix("OK").ok_or_else(|| format!("{command}: {reply:?}"))?;
        Ok(value.trim().to_owned())
    }

    /// Writes guest memory.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut command = format!("write {address:#x} {:#x} 0x", bytes.len());
        bytes.iter().try_for_each(|byte| write!(command, "{byte:02x}"))?;
        self.command(&command).map(drop)
    }

    /// Reads guest memory.
    pub(crate) fn read(&mut self, address: u64, len: usize) -> Result<Vec<u8>, Box<dyn Error>> {
        let hex = self.command(&format!("read {address:#x} {len:#x}"))?;
        let digits = hex.trim_start_matches("0x").as_bytes();
        let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
        digits.chunks(2).map(byte).collect()
    }

    fn set(&mut self, register: u64, value: u64) -> Result<(), Box<dyn Error>> {
        self.command(&format!("writel {:#x} {value:#x}", REGISTERS + register)).map(drop)
    }

    fn get(&mut self, register: u64) -> Result<u64, Box<dyn Error>> {
        let value = self.command(&format!("readl {:#x}", REGISTERS + register))?;
        Ok(u64::from_str_radix(value.trim_start_matches("0x"), 16)?)
    }

    /// Initializes the device with `queues` split queues (VIRTIO 1.4, 4.2.3 "MMIO-specific
    /// Initialization And Device Operation").
    pub(crate) fn start_device(&mut self, queues: u64) -> Result<(), Box<dyn Error>> {
        for status in [0, 1, 3] {
            self.set(0x70, status)?;
        }
        // VIRTIO_F_VERSION_1 and nothing else.
        for (half, features) in [(0, 0), (1, 1)] {
            self.set(0x24, half)?;
            self.set(0x20, features)?;
        }
        self.set(0x70, 11)?;
        assert_eq!(self.get(0x70)?, 11, "the device refuses the features");
        for queue in 0..queues {
            self.set(0x30, queue)?;
            self.set(0x38, QUEUE)?;
            for (register, area) in [(0x80, 0), (0x90, 0x1000), (0xa0, 0x2000)] {
                self.set(register, RINGS + RING_STEP * queue + area)?;
                self.set(register + 4, 0)?;
            }
            self.set(0x44, 1)?;
        }
        self.set(0x70, 15)
    }

    /// Makes a request of `bytes` and `room` writable bytes. Returns the address of the writable
    /// bytes.
    pub(crate) fn request(&mut self, queue: u8, bytes: &[u8], room: u32) -> Result<u64, Box<dyn Error>> {
        let ring = RINGS + RING_STEP * u64::from(queue);
        let (from, to) = (ring + 0x4000, ring + 0x5000);
        if !bytes.is_empty() {
            self.write(from, bytes)?;
        }
        let descriptor = |address: u64, len: u32, flags: u16, next: u16| {
            [&address.to_le_bytes()[..], &len.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()]
                .concat()
        };
        let readable = u32::try_from(bytes.len())?;
        let (out, back) = (descriptor(from, readable, 1, 1), descriptor(to, room, 2, 0));
        let table = match (readable, room) {
            (0, _) => back,
            (_, 0) => descriptor(from, readable, 0, 0),
            _ => [out, back].concat(),
        };
        self.write(ring, &table)?;
        let number = &mut self.requests[usize::from(queue)];
        *number += 1;
        let index = u16::try_from(*number)?;
        self.write(ring + 0x1000 + 4 + 2 * ((u64::from(index) - 1) % QUEUE), &[0, 0])?;
        self.write(ring + 0x1000 + 2, &index.to_le_bytes())?;
        self.set(0x50, queue.into())?;
        Ok(to)
    }

    /// Waits until all requests of a queue have been used.
    pub(crate) fn wait(&mut self, queue: u8) -> Result<(), Box<dyn Error>> {
        let used = RINGS + RING_STEP * u64::from(queue) + 0x2002;
        let wanted = u16::try_from(self.requests[usize::from(queue)])?.to_le_bytes();
        let deadline = Instant::now() + TIMEOUT;
        while self.read(used, 2)? != wanted {
            if Instant::now() > deadline {
                return Err(format!("queue {queue} stands still\n{}", self.process.tail()).into());
            }
        }
        Ok(())
    }
}
