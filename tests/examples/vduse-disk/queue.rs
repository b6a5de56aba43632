//! A queue of the disk, and its place after the disk was killed.

use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use isolation_host::mmap::Window;
use ring_core::memory::Memory as _;
use ring_core::payload::{Reader, Writer};
use ring_core::{Areas, Arm, DeviceQueue, Features, Segment, Setup, device};
use rustix::event::{EventfdFlags, eventfd};

use crate::vduse::{Memory, QueueInfo, Vduse};

/// The bytes of a sector.
const SECTOR: u64 = 512;
/// The largest data of a request.
const LARGEST: usize = 1 << 20;
/// The types of requests (VIRTIO 1.4, 5.2.6 "Device Operation").
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;

/// Where a queue stands, in a file that survives this process: the position up to which used
/// buffers were published, the position after the next publication, and whether there is any.
type Place = [u16; 3];

/// A running queue.
pub(crate) struct Queue {
    index: u32,
    ring: DeviceQueue<Window, Vec<device::Slot>>,
    pub(crate) kick: OwnedFd,
    buffer: Vec<u8>,
}

impl Queue {
    /// Starts a queue where the file says that a killed disk has left it, or at its beginning.
    pub(crate) fn start(
        vduse: &Vduse,
        index: u32,
        info: QueueInfo,
        features: u64,
        places: &File,
    ) -> Result<Self, Box<dyn Error>> {
        let Memory { file, offset, start, size } = vduse.memory(info.descriptor)?;
        let memory = Window::map(file, offset, size, start)?;
        let areas = Areas { descriptor: info.descriptor, driver: info.driver, device: info.device };
        let setup = Setup::new(u16::try_from(info.size)?, Features::from_bits_retain(features), areas);
        let slots = vec![device::Slot::EMPTY; info.size as usize];
        let mut ring = DeviceQueue::new(memory, &setup, slots)?;
        if let [used, next, 1] = read_place(places, index)? {
            let used = if ring.has_published(used) { next } else { used };
            ring.recover(used, 0)?;
            // The disk was perhaps killed before it could notify.
            if ring.publish().is_needed() {
                vduse.interrupt(index)?;
            }
        }
        let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        vduse.set_kick(index, kick.as_fd())?;
        Ok(Self { index, ring, kick, buffer: vec![0; LARGEST] })
    }

    /// Carries out all requests that are available.
    pub(crate) fn run(&mut self, vduse: &Vduse, image: &File, places: &File) -> Result<(), Box<dyn Error>> {
        let _ = rustix::io::read(&self.kick, &mut [0; 8]);
        let mut segments = [Segment::default(); 256];
        loop {
            let used = self.ring.position().used;
            let Some(chain) = self.ring.pop(&mut segments)? else {
                match self.ring.arm() {
                    Arm::Pending => continue,
                    _ => return Ok(()),
                }
            };
            let (readable, writable) = (chain.readable().to_vec(), chain.writable().to_vec());
            let written = carry_out(self.ring.memory(), &readable, &writable, image, &mut self.buffer)?;
            self.ring.complete(chain.into_token(), written)?;
            write_place(places, self.index, [used, self.ring.next_used(), 1])?;
            if self.ring.publish().is_needed() {
                vduse.interrupt(self.index)?;
            }
        }
    }
}

/// Carries out a request. Returns the number of bytes written.
fn carry_out(
    memory: &Window,
    readable: &[Segment],
    writable: &[Segment],
    image: &File,
    buffer: &mut [u8],
) -> Result<u32, Box<dyn Error>> {
    let mut reader = Reader::new(memory, readable);
    let mut header = [0; 16];
    reader.read(&mut header)?;
    let kind = u32::from_le_bytes(header[..4].try_into()?);
    let offset = u64::from_le_bytes(header[8..].try_into()?) * SECTOR;
    let mut writer = Writer::new(memory, writable);
    let room = usize::try_from(writer.remaining())? - 1;
    let (status, data) = match kind {
        READ if room <= buffer.len() => match image.read_exact_at(&mut buffer[..room], offset) {
            Ok(()) => (0, room),
            Err(_) => (1, 0),
        },
        WRITE if reader.remaining() <= buffer.len() as u64 => {
            let data = &mut buffer[..usize::try_from(reader.remaining())?];
            reader.read(data)?;
            (u8::from(image.write_all_at(data, offset).is_err()), 0)
        }
        FLUSH => (0, 0),
        _ => (2, 0),
    };
    writer.write(&buffer[..data])?;
    let last = writable.last().ok_or("a request has no status")?;
    memory.write_bytes(last.address + u64::from(last.len) - 1, &[status])?;
    Ok(u32::try_from(data + 1)?)
}

fn read_place(places: &File, index: u32) -> std::io::Result<Place> {
    let mut bytes = [0; 6];
    match places.read_exact_at(&mut bytes, u64::from(index) * 8) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok([0; 3]),
        read => {
            read?;
            Ok([0, 2, 4].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]])))
        }
    }
}

fn write_place(places: &File, index: u32, place: Place) -> std::io::Result<()> {
    // A write of so few bytes is complete or absent after the process was killed.
    places.write_all_at(place.map(u16::to_le_bytes).as_flattened(), u64::from(index) * 8)
}
