//! A VMM and its guest: a vhost-user front-end with memory and one driver for each queue.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use isolation_host::mmap::Window;
use isolation_host::protocol::payload::{Inflight, MemoryRegion, SingleRegion, VringAddr, VringState};
use isolation_host::protocol::{Channel, Message, Request};
use ring_core::memory::Memory as _;
use ring_core::{Areas, DriverQueue, Features, Position, Segment, Setup, driver};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::TIMEOUT;

/// The guest-physical address of the guest's memory.
pub(crate) const RAM: u64 = 0x10_0000;
/// The size of the guest's memory in bytes.
pub(crate) const RAM_SIZE: u64 = 8 << 20;
/// The address of the guest's memory in the VMM.
pub(crate) const USER: u64 = 0x7fff_0000_0000;
/// The size of the queues.
pub(crate) const QUEUE: u16 = 16;
/// The distance in bytes from the areas of one queue to the areas of the next queue.
const RINGS: u64 = 0x4000;
/// The address of the data.
pub(crate) const DATA: u64 = RAM + 0x10_0000;

/// A connected VMM and its guest.
pub(crate) struct TestGuest {
    pub(crate) channel: Channel,
    file: OwnedFd,
    pub(crate) memory: Window,
    pub(crate) features: Features,
    pub(crate) kicks: Vec<OwnedFd>,
    pub(crate) calls: Vec<OwnedFd>,
    /// The file of requests in flight, if the VMM keeps one.
    journal: Option<(Inflight, OwnedFd)>,
}

pub(crate) type Queue = DriverQueue<Window, Vec<driver::Slot<u32>>, u32>;

impl TestGuest {
    /// Connects, agrees on these ring features, and shares the guest's memory.
    pub(crate) fn new(stream: UnixStream, features: Features) -> Self {
        let file = memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, RAM_SIZE).unwrap();
        let memory = Window::map(&file, 0, RAM_SIZE, RAM).unwrap();
        let features = features | Features::VERSION_1;
        let mut guest = Self {
            channel: Channel::new(stream.into()),
            file,
            memory,
            features,
            kicks: Vec::new(),
            calls: Vec::new(),
            journal: None,
        };
        guest.negotiate();
        guest
    }

    /// Disconnects. The guest continues without notifications.
    pub(crate) fn disconnect(&mut self) {
        let (unconnected, _) = UnixStream::pair().unwrap();
        self.channel = Channel::new(unconnected.into());
    }

    /// Connects again with the same memory.
    pub(crate) fn reconnect(&mut self, stream: UnixStream) {
        self.channel = Channel::new(stream.into());
        self.kicks.clear();
        self.calls.clear();
        self.negotiate();
    }

    /// Requests an in-flight region, and passes the region back now and at each reconnection.
    pub(crate) fn keep_journal(&mut self) {
        let inflight = Inflight { queues: 2, queue_size: QUEUE, ..Inflight::default() };
        let mut reply = self.ask(Message::request(Request::GetInflightFd, &inflight));
        self.journal = Some((reply.body().unwrap(), reply.take_fd().unwrap()));
        self.give_journal();
    }

    fn give_journal(&mut self) {
        if let Some((inflight, file)) = &self.journal {
            let message = Message::request(Request::SetInflightFd, inflight);
            let message = message.with_fd(file.try_clone().unwrap());
            self.order(Request::SetInflightFd, message);
        }
    }

    fn negotiate(&mut self) {
        self.order(Request::SetOwner, Message::request(Request::SetOwner, &[0u8; 0]));
        let offered: u64 = self.ask(Message::request(Request::GetFeatures, &[0u8; 0])).body().unwrap();
        // Cloud Hypervisor's guests use platform addresses without an offer.
        let needed = self.features.difference(Features::ACCESS_PLATFORM).bits();
        assert_eq!(offered & needed, needed);
        let wanted = self.features.bits() | 1 << 30 | offered & 0xff_ffff;
        self.order(Request::SetFeatures, Message::request(Request::SetFeatures, &wanted));
        let region = MemoryRegion { guest_address: RAM, size: RAM_SIZE, user_address: USER, offset: 0 };
        let add = Message::request(Request::AddMemReg, &SingleRegion { padding: 0, region });
        let file = self.file.try_clone().unwrap();
        self.order(Request::AddMemReg, add.with_fd(file));
        self.give_journal();
    }

    /// Sends a request and returns the reply.
    pub(crate) fn ask(&mut self, message: Message) -> Message {
        let request = message.request;
        self.channel.send(&message).unwrap();
        let reply = self.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
        assert!(reply.is_reply() && reply.request == request, "{reply:?} to {request}");
        reply
    }

    /// Sends a message that has to succeed.
    pub(crate) fn order(&mut self, request: Request, message: Message) {
        let code: u64 = self.ask(message.needing_reply()).body().unwrap();
        assert_eq!(code, 0, "{request:?} is refused");
    }

    /// Returns the layout of a queue.
    pub(crate) fn setup(&self, index: u32) -> Setup {
        let start = RAM + RINGS * u64::from(index);
        Setup::new(
            QUEUE,
            self.features,
            Areas { descriptor: start, driver: start + 0x1000, device: start + 0x2000 },
        )
    }

    /// Starts a queue at its beginning and returns the driver's end.
    pub(crate) fn start(&mut self, index: u32) -> Queue {
        let setup = self.setup(index);
        self.memory.write_bytes(setup.areas.descriptor, &[0; 0x3000]).unwrap();
        let slots = (0..QUEUE).map(|_| driver::Slot::EMPTY).collect();
        let queue = DriverQueue::new(self.memory.clone(), &setup, slots).unwrap();
        let base = match self.features.contains(Features::RING_PACKED) {
            true => Position::PACKED_START.packed_base(),
            false => 0,
        };
        self.start_at(index, base);
        queue
    }

    /// Starts a queue at `base`.
    pub(crate) fn start_at(&mut self, index: u32, base: u32) {
        let setup = self.setup(index);
        let user = |address: u64| address - RAM + USER;
        let areas = VringAddr {
            index,
            flags: 0,
            descriptor: user(setup.areas.descriptor),
            device: user(setup.areas.device),
            driver: user(setup.areas.driver),
            log: 0,
        };
        let state = |num| VringState { index, num };
        self.order(Request::SetVringNum, Message::request(Request::SetVringNum, &state(QUEUE.into())));
        self.order(Request::SetVringBase, Message::request(Request::SetVringBase, &state(base)));
        self.order(Request::SetVringAddr, Message::request(Request::SetVringAddr, &areas));
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (kick, call) = (eventfd(0, flags).unwrap(), eventfd(0, flags).unwrap());
        for (request, fd) in [(Request::SetVringCall, &call), (Request::SetVringKick, &kick)] {
            let message = Message::request(request, &u64::from(index)).with_fd(fd.try_clone().unwrap());
            self.order(request, message);
        }
        self.order(Request::SetVringEnable, Message::request(Request::SetVringEnable, &state(1)));
        self.kicks.insert(index as usize, kick);
        self.calls.insert(index as usize, call);
    }

    /// Returns the base that QEMU sends for a queue whose back-end has died.
    ///
    /// For a split queue, QEMU reads the used index. For a packed queue, QEMU repeats the base of
    /// the first start.
    pub(crate) fn base_after_a_crash(&self, index: u32) -> u32 {
        if self.features.contains(Features::RING_PACKED) {
            return Position::PACKED_START.packed_base();
        }
        let mut used = [0; 2];
        self.memory.read_bytes(self.setup(index).areas.device + 2, &mut used).unwrap();
        u16::from_le_bytes(used).into()
    }

    /// Returns after isolation-host has handled all earlier notifications.
    pub(crate) fn settle(&mut self) {
        self.ask(Message::request(Request::GetFeatures, &[0u8; 0]));
    }

    /// Stops a queue and returns its base.
    pub(crate) fn stop(&mut self, index: u32) -> u32 {
        let state = VringState { index, num: 0 };
        let reply = self.ask(Message::request(Request::GetVringBase, &state));
        self.forget(index);
        reply.body::<VringState>().unwrap().num
    }

    /// Forgets the notifications of a queue that was stopped.
    pub(crate) fn forget(&mut self, index: u32) {
        if (index as usize) < self.kicks.len() {
            self.kicks.remove(index as usize);
            self.calls.remove(index as usize);
        }
    }

    /// Adds a request with `bytes` to read and `room` bytes to write behind them. Returns the
    /// address of the writable part.
    pub(crate) fn request(&self, queue: &mut Queue, at: u64, bytes: &[u8], room: u32, cookie: u32) -> u64 {
        let (from, len) = (DATA + at, u32::try_from(bytes.len()).unwrap());
        self.memory.write_bytes(from, bytes).unwrap();
        let to = from + u64::from(len);
        self.memory.write_bytes(to, &vec![0xee; room as usize]).unwrap();
        let readable = [Segment::new(from, len)];
        let readable = if len == 0 { &[] } else { &readable[..] };
        queue.add(readable, &[Segment::new(to, room)], cookie).unwrap();
        to
    }

    /// Publishes the requests and notifies.
    pub(crate) fn publish(&self, index: u32, queue: &mut Queue) {
        let _ = queue.publish();
        self.kick(index);
    }

    pub(crate) fn kick(&self, index: u32) {
        rustix::io::write(&self.kicks[index as usize], &1u64.to_ne_bytes()).unwrap();
    }

    /// Takes the notifications that a queue of the guest has got. Returns whether there were any.
    pub(crate) fn take_call(&self, index: usize) -> bool {
        rustix::io::read(&self.calls[index], &mut [0; 8]).is_ok()
    }

    /// Notifies the guest, as a VMM does that has received a notification of a queue.
    pub(crate) fn call(&self, index: u32) {
        rustix::io::write(&self.calls[index as usize], &1u64.to_ne_bytes()).unwrap();
    }

    /// Waits until a queue of the guest is notified.
    pub(crate) fn wait_for_call(&self, index: u32, deadline: Instant) {
        let call = &self.calls[index as usize];
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let ready = poll(&mut [PollFd::new(&call.as_fd(), PollFlags::IN)], Some(&left)).unwrap();
        assert!(ready > 0, "queue {index} of the guest is not notified");
        let _ = rustix::io::read(call, &mut [0; 8]);
    }

    /// Gives a queue another file descriptor for the guest's notifications.
    pub(crate) fn replace_call(&mut self, index: u32) {
        let call = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        let message = Message::request(Request::SetVringCall, &u64::from(index));
        self.order(Request::SetVringCall, message.with_fd(call.try_clone().unwrap()));
        self.calls[index as usize] = call;
    }

    /// Waits for the next used buffer. Returns the cookie and the number of bytes written.
    pub(crate) fn reap(&self, index: u32, queue: &mut Queue) -> (u32, u32) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(used) = queue.reap().unwrap() {
                return (used.cookie, used.written);
            }
            if queue.arm() == ring_core::Arm::Pending {
                continue;
            }
            self.wait_for_call(index, deadline);
        }
    }

    /// Reads bytes of the guest's memory.
    pub(crate) fn bytes(&self, address: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.memory.read_bytes(address, &mut bytes).unwrap();
        bytes
    }
}
