//! A VMM and its guest: a vhost-user front-end that reconnects.

use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isolation_host::mmap::Window;
use isolation_host::protocol::features::LOG_ALL;
use isolation_host::protocol::payload::{
    Inflight, LogArea, MemoryRegion, SingleRegion, VringAddr, VringState,
};
use isolation_host::protocol::{Channel, Message, Request};
use ring_core::{Areas, DriverQueue, Features, Position, Setup, driver};
use rustix::event::{EventfdFlags, eventfd};

use crate::mirror::Mirrored;
use crate::ram::{LOG_SIZE, RAM, RAM_SIZE, Ram};

/// Only a run that fails waits so long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// The size of each ring, which is larger than the device's.
pub(crate) const SIZE: u16 = 256;
/// The address of the guest's memory in the VMM.
const USER: u64 = 0x7fff_0000_0000;
/// The bytes from the rings of one queue to those of the next.
const RINGS: u64 = 0x4000;
/// Protocol features are negotiated, and the device has several queues.
const WANTED: u64 = 1 << 30 | 1 << 12;

pub(crate) type Ring = DriverQueue<Mirrored<Window>, Vec<driver::Slot<usize>>, usize>;

/// A queue of the guest.
pub(crate) struct Queue {
    pub(crate) ring: Ring,
    pub(crate) kick: OwnedFd,
    pub(crate) call: OwnedFd,
}

/// The VMM.
pub(crate) struct Vmm {
    socket: PathBuf,
    pub(crate) channel: Channel,
    pub(crate) ram: Ram,
    pub(crate) features: Features,
    journal: (Inflight, OwnedFd),
}

impl Vmm {
    /// Connects, negotiates, and makes the guest's memory and the in-flight region.
    pub(crate) fn new(socket: &Path, features: Features, queues: u16) -> Result<Self, Box<dyn Error>> {
        let ram = Ram::new()?;
        let channel = connect(socket)?;
        let inflight = Inflight { queues, queue_size: SIZE, ..Inflight::default() };
        let placeholder = ram.file.try_clone()?.into();
        let mut vmm =
            Self { socket: socket.into(), channel, ram, features, journal: (inflight, placeholder) };
        vmm.negotiate()?;
        vmm.take_journal()?;
        Ok(vmm)
    }

    /// Connects to the isolation-host of another device, with queues that were stopped.
    pub(crate) fn move_to(
        &mut self,
        socket: &Path,
        queues: &mut [Queue],
        bases: &[u32],
    ) -> Result<(), Box<dyn Error>> {
        self.socket = socket.into();
        self.channel = connect(socket)?;
        self.negotiate()?;
        self.take_journal()?;
        self.resume(queues, bases)
    }

    /// Has isolation-host log the pages that it writes.
    pub(crate) fn start_log(&mut self, log: &File) -> Result<(), Box<dyn Error>> {
        self.set_log(log)?;
        let logging = self.features.bits() | WANTED | LOG_ALL;
        self.order(Message::request(Request::SetFeatures, &logging))
    }

    /// Gives isolation-host a log. isolation-host no longer writes to the previous one.
    pub(crate) fn set_log(&mut self, log: &File) -> Result<(), Box<dyn Error>> {
        let area = LogArea { size: LOG_SIZE, offset: 0 };
        let message = Message::request(Request::SetLogBase, &area).with_fd(log.try_clone()?.into());
        match self.ask(message)?.body()? {
            0u64 => Ok(()),
            code => Err(format!("the log is refused with {code}").into()),
        }
    }

    /// Connects again, with the same memory and queues.
    pub(crate) fn reconnect(&mut self, queues: &mut [Queue]) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + TIMEOUT;
        // The next process may be killed before it answers, too.
        while let Err(error) = self.try_reconnect(queues) {
            if Instant::now() > deadline {
                return Err(error);
            }
        }
        Ok(())
    }

    fn try_reconnect(&mut self, queues: &mut [Queue]) -> Result<(), Box<dyn Error>> {
        self.channel = connect(&self.socket)?;
        self.negotiate()?;
        self.give_journal()?;
        for (index, queue) in (0..).zip(&mut *queues) {
            let base = self.base_after_a_crash(index)?;
            (queue.kick, queue.call) = self.start_at(index, base)?;
        }
        self.enable(0..u32::try_from(queues.len())?)
    }

    /// Returns the base that QEMU sends for a queue whose back-end has died.
    fn base_after_a_crash(&self, index: u32) -> Result<u32, Box<dyn Error>> {
        if self.features.contains(Features::RING_PACKED) {
            return Ok(Position::PACKED_START.packed_base());
        }
        let mut used = [0; 2];
        self.ram.read(self.setup(index).areas.device + 2, &mut used)?;
        Ok(u16::from_le_bytes(used).into())
    }

    /// Takes a new in-flight region and gives it back, as a VMM does at its first connection.
    fn take_journal(&mut self) -> Result<(), Box<dyn Error>> {
        let inflight = Inflight { size: 0, offset: 0, ..self.journal.0 };
        let mut reply = self.ask(Message::request(Request::GetInflightFd, &inflight))?;
        self.journal = (reply.body()?, reply.take_fd()?);
        self.give_journal()
    }

    fn give_journal(&mut self) -> Result<(), Box<dyn Error>> {
        let (inflight, file) = &self.journal;
        let message = Message::request(Request::SetInflightFd, inflight).with_fd(file.try_clone()?);
        self.order(message)
    }

    fn negotiate(&mut self) -> Result<(), Box<dyn Error>> {
        self.order(Message::request(Request::SetOwner, &[0u8; 0]))?;
        let offered: u64 = self.ask(Message::request(Request::GetFeatures, &[0u8; 0]))?.body()?;
        let wanted = self.features.bits() | WANTED;
        if offered & wanted != wanted {
            return Err(format!("{wanted:#x} is wanted, and {offered:#x} is offered").into());
        }
        self.order(Message::request(Request::SetFeatures, &wanted))?;
        let region = MemoryRegion { guest_address: RAM, size: RAM_SIZE, user_address: USER, offset: 0 };
        let add = Message::request(Request::AddMemReg, &SingleRegion { padding: 0, region });
        let file = self.ram.file.try_clone()?.into();
        self.order(add.with_fd(file))
    }

    /// Sends a request and returns the reply.
    fn ask(&mut self, message: Message) -> Result<Message, Box<dyn Error>> {
        self.channel.send(&message)?;
        Ok(self.channel.receive_by(Instant::now() + TIMEOUT)?)
    }

    /// Sends a message that has to succeed.
    fn order(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        let request = message.request;
        match self.ask(message.needing_reply())?.body()? {
            0u64 => Ok(()),
            code => Err(format!("message {request} is refused with {code}").into()),
        }
    }

    pub(crate) fn setup(&self, index: u32) -> Setup {
        let start = RAM + RINGS * u64::from(index);
        let areas = Areas { descriptor: start, driver: start + 0x1000, device: start + 0x2000 };
        Setup::new(SIZE, self.features, areas)
    }

    /// Returns the guest address of the data of a queue, behind the rings of all queues.
    pub(crate) fn data(index: u32) -> u64 {
        RAM + 0x10_0000 + 0x30_0000 * u64::from(index)
    }

    /// Starts queues at their beginning.
    pub(crate) fn start(&mut self, indices: std::ops::Range<u32>) -> Result<Vec<Queue>, Box<dyn Error>> {
        let packed = self.features.contains(Features::RING_PACKED);
        let base = if packed { Position::PACKED_START.packed_base() } else { 0 };
        let mut queues = Vec::new();
        for index in indices.clone() {
            let slots = (0..SIZE).map(|_| driver::Slot::EMPTY).collect();
            let ring = DriverQueue::new(self.ram.windows.clone(), &self.setup(index), slots)?;
            let (kick, call) = self.start_at(index, base)?;
            queues.push(Queue { ring, kick, call });
        }
        self.enable(indices)?;
        Ok(queues)
    }

    fn enable(&mut self, indices: std::ops::Range<u32>) -> Result<(), Box<dyn Error>> {
        for index in indices {
            self.order(Message::request(Request::SetVringEnable, &VringState { index, num: 1 }))?;
        }
        Ok(())
    }

    fn start_at(&mut self, index: u32, base: u32) -> Result<(OwnedFd, OwnedFd), Box<dyn Error>> {
        let areas = self.setup(index).areas;
        let user = |address: u64| address - RAM + USER;
        let (descriptor, device, driver) = (user(areas.descriptor), user(areas.device), user(areas.driver));
        let areas = VringAddr { index, flags: 0, descriptor, device, driver, log: 0 };
        let state = |num| VringState { index, num };
        self.order(Message::request(Request::SetVringNum, &state(SIZE.into())))?;
        self.order(Message::request(Request::SetVringBase, &state(base)))?;
        self.order(Message::request(Request::SetVringAddr, &areas))?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (kick, call) = (eventfd(0, flags)?, eventfd(0, flags)?);
        for (request, fd) in [(Request::SetVringCall, &call), (Request::SetVringKick, &kick)] {
            let fd = fd.as_fd().try_clone_to_owned()?;
            self.order(Message::request(request, &u64::from(index)).with_fd(fd))?;
        }
        Ok((kick, call))
    }

    /// Stops a queue. Returns its base.
    pub(crate) fn stop(&mut self, index: u32) -> Result<u32, Box<dyn Error>> {
        let message = Message::request(Request::GetVringBase, &VringState { index, num: 0 });
        Ok(self.ask(message)?.body::<VringState>()?.num)
    }

    /// Starts all queues again where they were stopped.
    pub(crate) fn resume(&mut self, queues: &mut [Queue], bases: &[u32]) -> Result<(), Box<dyn Error>> {
        for ((index, queue), base) in (0..).zip(&mut *queues).zip(bases) {
            (queue.kick, queue.call) = self.start_at(index, *base)?;
        }
        self.enable(0..u32::try_from(queues.len())?)
    }
}

fn connect(socket: &Path) -> Result<Channel, Box<dyn Error>> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(Channel::new(stream.into())),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::yield_now(),
        }
    }
}
