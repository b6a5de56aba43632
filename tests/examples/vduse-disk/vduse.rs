//! The requests of VDUSE, with which a process is a vDPA device (`linux/vduse.h`).

// UNSAFETY: the kernel reads and writes the arguments of these requests through pointers.
#![expect(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes};

/// The group of VDUSE's requests.
const GROUP: u8 = 0x81;
/// The group of the requests of vhost-vdpa devices.
const VHOST: u8 = 0xaf;

/// `struct vduse_dev_config`, with a configuration.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct DeviceConfig {
    name: [u8; 256],
    vendor: u32,
    device: u32,
    features: u64,
    queues: u32,
    align: u32,
    reserved: [u32; 13],
    config_size: u32,
    config: [u8; CONFIG],
}

/// The size of a disk's configuration up to the number of its queues.
const CONFIG: usize = 40;
/// The size of a `DeviceConfig` without the configuration, which the request's number has.
const HEAD: usize = 336;

const _: () = assert!(size_of::<DeviceConfig>() == HEAD + CONFIG);

/// `struct vduse_iotlb_entry`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct IotlbEntry {
    offset: u64,
    start: u64,
    last: u64,
    permissions: u64,
}

/// `struct vduse_vq_config`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct QueueConfig {
    index: u32,
    max_size: u16,
    reserved: [u16; 13],
}

/// `struct vduse_vq_info`: how the driver has configured a queue.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct QueueInfo {
    index: u32,
    pub(crate) size: u32,
    pub(crate) descriptor: u64,
    pub(crate) driver: u64,
    pub(crate) device: u64,
    pub(crate) position: [u16; 4],
    pub(crate) ready: u8,
    padding: [u8; 7],
}

/// `struct vduse_vq_eventfd`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct QueueFile {
    index: u32,
    fd: i32,
}

/// `struct vduse_dev_request` and `struct vduse_dev_response`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Frame {
    first: u32,
    second: u32,
    reserved: [u32; 4],
    content: [u32; 32],
}

/// What the kernel asks the device for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// The position of a queue.
    QueueState(u32),
    /// The driver has set the status; 0 is a reset.
    Status(u8),
    /// The mappings have changed.
    Mapping,
    Unknown(u32),
}

/// Memory of the driver: a file, and where it lies in the file and in the device's addresses.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) file: OwnedFd,
    pub(crate) offset: u64,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

/// A request with the direction and the size that its number has.
struct Call<'a, T> {
    direction: Direction,
    group: u8,
    number: u8,
    size: usize,
    argument: &'a mut T,
}

// SAFETY: the size in the number is that of the argument, and the kernel accesses no more; of a
// `DeviceConfig` it also reads the `config_size` bytes behind, which are a field.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::from_components(self.direction, self.group, self.number, self.size)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// Makes a request whose number has the size of the argument.
fn call<T: FromBytes + IntoBytes>(
    fd: impl AsFd,
    direction: Direction,
    number: u8,
    argument: &mut T,
) -> io::Result<i32> {
    let call = Call { direction, group: GROUP, number, size: size_of::<T>(), argument };
    // SAFETY: as for `Call`.
    Ok(unsafe { ioctl(fd, call) }?)
}

/// Creates a disk with this configuration.
pub(crate) fn create(name: &str, features: u64, queues: u32, config: [u8; CONFIG]) -> io::Result<()> {
    let control = open_device("control", OFlags::RDWR)?;
    call(&control, Direction::Write, 0x01, &mut 0u64)?;
    let mut new = DeviceConfig::new_zeroed();
    new.name[..name.len()].copy_from_slice(name.as_bytes());
    (new.device, new.features, new.queues, new.align) = (2, features, queues, 4096);
    (new.config_size, new.config) = (u32::try_from(CONFIG).map_err(io::Error::other)?, config);
    let create =
        Call { direction: Direction::Write, group: GROUP, number: 0x02, size: HEAD, argument: &mut new };
    // SAFETY: as for `Call`.
    unsafe { ioctl(&control, create) }?;
    Ok(())
}

/// Sets the status of an open vhost-vdpa device.
pub(crate) fn set_status(device: impl AsFd, mut status: u8) -> io::Result<()> {
    let set =
        Call { direction: Direction::Write, group: VHOST, number: 0x72, size: 1, argument: &mut status };
    // SAFETY: as for `Call`.
    unsafe { ioctl(device, set) }?;
    Ok(())
}

fn open_device(name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(open(format!("/dev/vduse/{name}"), flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// An open VDUSE device.
#[derive(Debug)]
pub(crate) struct Vduse(OwnedFd);

impl Vduse {
    /// Opens a device that was created.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        open_device(name, OFlags::RDWR | OFlags::NONBLOCK).map(Self)
    }

    /// Sets the largest size of a queue.
    pub(crate) fn set_up_queue(&self, index: u32, max_size: u16) -> io::Result<()> {
        let mut config = QueueConfig { index, max_size, reserved: [0; 13] };
        call(&self.0, Direction::Write, 0x14, &mut config).map(drop)
    }

    /// Returns the features that the driver has negotiated.
    pub(crate) fn features(&self) -> io::Result<u64> {
        let mut features = 0u64;
        call(&self.0, Direction::Read, 0x11, &mut features)?;
        Ok(features)
    }

    /// Returns how the driver has configured a queue.
    pub(crate) fn queue(&self, index: u32) -> io::Result<QueueInfo> {
        let mut info = QueueInfo { index, ..QueueInfo::new_zeroed() };
        call(&self.0, Direction::ReadWrite, 0x15, &mut info)?;
        Ok(info)
    }

    /// Returns the memory at an address.
    pub(crate) fn memory(&self, address: u64) -> io::Result<Memory> {
        let mut entry = IotlbEntry { offset: 0, start: address, last: address, permissions: 0 };
        let fd = call(&self.0, Direction::ReadWrite, 0x10, &mut entry)?;
        // SAFETY: the kernel has made this file descriptor for the request.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Memory { file, offset: entry.offset, start: entry.start, size: entry.last - entry.start + 1 })
    }

    /// Has the kernel notify kicks of a queue.
    pub(crate) fn set_kick(&self, index: u32, kick: BorrowedFd<'_>) -> io::Result<()> {
        let mut file = QueueFile { index, fd: kick.as_raw_fd() };
        call(&self.0, Direction::Write, 0x16, &mut file).map(drop)
    }

    /// Notifies the driver of a queue.
    pub(crate) fn interrupt(&self, index: u32) -> io::Result<()> {
        match call(&self.0, Direction::Write, 0x17, &mut { index }) {
            // The driver has not completed the start, and looks at the rings afterwards.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Notifies the driver that the configuration or the status has changed.
    pub(crate) fn report_change(&self) -> io::Result<()> {
        call(&self.0, Direction::None, 0x13, &mut ()).map(drop)
    }

    /// Returns what the kernel asks for, with the number to answer to.
    pub(crate) fn asked(&self) -> io::Result<Option<(u32, Asked)>> {
        let mut frame = Frame::new_zeroed();
        match rustix::io::read(&self.0, frame.as_mut_bytes()) {
            Err(Errno::AGAIN) => return Ok(None),
            read => drop(read?),
        }
        let [first, ..] = frame.content;
        let asked = match frame.first {
            0 => Asked::QueueState(first),
            1 => Asked::Status(first.to_ne_bytes()[0]),
            2 => Asked::Mapping,
            other => Asked::Unknown(other),
        };
        Ok(Some((frame.second, asked)))
    }

    /// Answers that what the kernel has asked for is done.
    pub(crate) fn answer(&self, number: u32) -> io::Result<()> {
        let frame = Frame { first: number, ..Frame::new_zeroed() };
        let sent = rustix::io::write(&self.0, frame.as_bytes())?;
        if sent == size_of::<Frame>() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for Vduse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens or creates a file that survives this process.
pub(crate) fn lasting_file(path: &str) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}
