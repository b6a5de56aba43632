//! A device: a vhost-user back-end that a test steps through.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use isolation_host::mmap::Window;
use isolation_host::protocol::payload::{SingleRegion, VringAddr, VringState};
use isolation_host::protocol::{Channel, Message, Request};
use ring_core::memory::Memory as _;
use ring_core::{Areas, Arm, DeviceQueue, Features, Segment, Setup, device};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::TIMEOUT;

/// What the device offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) features: u64,
    pub(crate) protocol: u64,
    pub(crate) queues: u64,
}

impl Default for Offer {
    fn default() -> Self {
        let features = Features::VERSION_1 | Features::EVENT_IDX | Features::INDIRECT_DESC;
        // MQ, REPLY_ACK, CONFIG, CONFIGURE_MEM_SLOTS.
        let protocol = 1 | 1 << 3 | 1 << 9 | 1 << 15;
        Self { features: features.bits() | 1 << 30 | 0b110, protocol, queues: 2 }
    }
}

/// A connected device.
pub(crate) struct TestDevice {
    pub(crate) offer: Offer,
    pub(crate) channel: Channel,
    /// The features that isolation-host has set.
    pub(crate) asked: u64,
    /// The memory regions.
    pub(crate) memory: Vec<Window>,
    /// The files of the memory regions.
    pub(crate) files: Vec<OwnedFd>,
    /// The payloads of all messages.
    pub(crate) told: Vec<Vec<u8>>,
    /// The files of all messages.
    pub(crate) given: Vec<OwnedFd>,
    pub(crate) vrings: BTreeMap<u32, Vring>,
    /// The vring base that the device reports for a queue. For a queue without an entry, the device
    /// reports 0.
    pub(crate) left: BTreeMap<u32, u32>,
    /// The dirty log.
    pub(crate) log: Option<OwnedFd>,
    /// The back-end channel, for the device's own requests.
    pub(crate) requests: Option<Channel>,
}

/// The configuration of a queue.
#[derive(Default)]
pub(crate) struct Vring {
    pub(crate) size: u16,
    pub(crate) base: u32,
    pub(crate) areas: VringAddr,
    pub(crate) kick: Option<OwnedFd>,
    pub(crate) call: Option<OwnedFd>,
    pub(crate) enabled: bool,
}

pub(crate) type Queue = DeviceQueue<Window, Vec<device::Slot>>;

impl TestDevice {
    /// Waits for isolation-host to connect.
    pub(crate) fn accept(listener: &UnixListener, offer: Offer) -> Self {
        let (stream, _) = listener.accept().unwrap();
        Self {
            offer,
            channel: Channel::new(stream.into()),
            asked: 0,
            memory: Vec::new(),
            files: Vec::new(),
            told: Vec::new(),
            given: Vec::new(),
            vrings: BTreeMap::new(),
            left: BTreeMap::new(),
            log: None,
            requests: None,
        }
    }

    pub(crate) fn listen(directory: &Path) -> UnixListener {
        UnixListener::bind(directory.join("device.sock")).unwrap()
    }

    /// Serves one message if it arrives by the deadline. Returns the request.
    pub(crate) fn step(&mut self, deadline: Instant) -> Option<Request> {
        let mut message = self.channel.receive_by(deadline).ok()?;
        let request = Request::try_from(message.request).unwrap();
        self.told.push(message.payload.clone());
        self.given.extend(message.fds.iter().map(|fd| fd.try_clone().unwrap()));
        let reply = match request {
            Request::GetFeatures => Some(message.reply(&self.offer.features)),
            Request::GetProtocolFeatures => Some(message.reply(&self.offer.protocol)),
            Request::GetQueueNum => Some(message.reply(&self.offer.queues)),
            Request::GetConfig | Request::CreateCryptoSession => Some(message.reply(&message.payload[..])),
            Request::SetLogBase => {
                self.log = Some(message.take_fd().unwrap());
                Some(message.reply(&0u64))
            }
            Request::SetDeviceStateFd => {
                rustix::io::write(message.take_fd().unwrap(), b"state").unwrap();
                Some(message.reply(&0u64))
            }
            Request::CheckDeviceState => Some(message.reply(&0u64)),
            Request::GetVringBase => {
                let VringState { index, .. } = message.body().unwrap();
                self.vrings.remove(&index);
                let num = self.left.get(&index).copied().unwrap_or(0);
                Some(message.reply(&VringState { index, num }))
            }
            _ => {
                self.configure(request, &mut message);
                None
            }
        };
        let reply = reply.or_else(|| message.needs_reply().then(|| message.reply(&0u64)));
        if let Some(reply) = reply {
            self.channel.send(&reply).ok()?;
        }
        Some(request)
    }

    /// Applies a message that has no reply of its own. Ignores messages that do not matter to
    /// tests.
    fn configure(&mut self, request: Request, message: &mut Message) {
        match request {
            Request::SetFeatures => self.asked = message.body().unwrap(),
            Request::ResetDevice => self.vrings.clear(),
            Request::SetBackendReqFd => self.requests = Some(Channel::new(message.take_fd().unwrap())),
            Request::AddMemReg => {
                let SingleRegion { region, .. } = message.body().unwrap();
                let file = message.take_fd().unwrap();
                let window = Window::map(&file, region.offset, region.size, region.user_address);
                self.memory.push(window.unwrap());
                self.files.push(file);
            }
            Request::SetVringNum | Request::SetVringBase | Request::SetVringEnable => {
                let VringState { index, num } = message.body().unwrap();
                let vring = self.vrings.entry(index).or_default();
                match request {
                    Request::SetVringNum => vring.size = u16::try_from(num).unwrap(),
                    Request::SetVringBase => vring.base = num,
                    _ => vring.enabled = num != 0,
                }
            }
            Request::SetVringAddr => {
                let areas: VringAddr = message.body().unwrap();
                self.vrings.entry(areas.index).or_default().areas = areas;
            }
            Request::SetVringKick | Request::SetVringCall => {
                let index = u32::try_from(message.body::<u64>().unwrap()).unwrap();
                let vring = self.vrings.entry(index).or_default();
                let fd = if request == Request::SetVringKick { &mut vring.kick } else { &mut vring.call };
                *fd = Some(message.take_fd().unwrap());
            }
            _ => {}
        }
    }

    /// Serves messages up to and including `request`.
    pub(crate) fn serve_until(&mut self, request: Request) {
        while self.step(Instant::now() + TIMEOUT).unwrap_or_else(|| panic!("{request:?} does not arrive"))
            != request
        {}
    }

    /// Waits until `fd` is readable, or serves a message that comes before.
    pub(crate) fn wait(&mut self, fd: &OwnedFd, deadline: Instant) {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let mut fds = [PollFd::new(&self.channel, PollFlags::IN), PollFd::new(fd, PollFlags::IN)];
        assert!(poll(&mut fds, Some(&left)).unwrap() > 0, "the device is not notified");
        if !fds[0].revents().is_empty() {
            self.step(deadline).expect("isolation-host stays connected");
        }
    }

    /// Serves messages until a queue is enabled, and returns the device's end.
    pub(crate) fn serve_until_started(&mut self, index: u32) -> Queue {
        let deadline = Instant::now() + TIMEOUT;
        while !self.vrings.get(&index).is_some_and(|vring| vring.enabled) {
            assert!(self.step(deadline).is_some(), "queue {index} is not started");
        }
        self.queue(index)
    }

    /// Returns the device's end of a queue by its configuration.
    pub(crate) fn queue(&self, index: u32) -> Queue {
        let vring = &self.vrings[&index];
        let setup = Setup::new(
            vring.size,
            Features::from_bits_retain(self.asked),
            Areas {
                descriptor: vring.areas.descriptor,
                driver: vring.areas.driver,
                device: vring.areas.device,
            },
        );
        let slots = vec![device::Slot::EMPTY; vring.size.into()];
        let mut queue = DeviceQueue::new(self.memory[0].clone(), &setup, slots).unwrap();
        queue.resume(queue.position_of(vring.base)).unwrap();
        queue
    }

    /// Waits for the next request of a queue. Returns its token, readable bytes and writable
    /// segments.
    pub(crate) fn take(&self, index: u32, queue: &mut Queue) -> (ring_core::Token, Vec<u8>, Vec<Segment>) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut segments = [Segment::default(); 64];
            if let Some(chain) = queue.pop(&mut segments).unwrap() {
                let bytes = self.read(chain.readable());
                let writable = chain.writable().to_vec();
                return (chain.into_token(), bytes, writable);
            }
            if queue.arm() == Arm::Pending {
                continue;
            }
            let kick = self.vrings[&index].kick.as_ref().unwrap();
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
            let ready = poll(&mut [PollFd::new(&kick.as_fd(), PollFlags::IN)], Some(&left)).unwrap();
            assert!(ready > 0, "no request arrives");
            let _ = rustix::io::read(kick, &mut [0; 8]);
        }
    }

    fn read(&self, segments: &[Segment]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for segment in segments {
            let mut part = vec![0; segment.len as usize];
            self.memory[0].read_bytes(segment.address, &mut part).unwrap();
            bytes.extend(part);
        }
        bytes
    }

    /// Notifies the driver.
    pub(crate) fn call(&self, index: u32) {
        if let Some(call) = self.vrings.get(&index).and_then(|vring| vring.call.as_ref()) {
            rustix::io::write(call, &1u64.to_ne_bytes()).unwrap();
        }
    }

    /// Waits for a request and writes what it reads. Returns the bytes.
    pub(crate) fn echo(&self, index: u32, queue: &mut Queue) -> Vec<u8> {
        let (token, bytes, writable) = self.take(index, queue);
        let written = self.answer(&bytes, &writable);
        queue.complete(token, written).unwrap();
        let _ = queue.publish();
        self.call(index);
        bytes
    }

    /// Writes as many bytes as the writable segments hold. Returns the number of bytes.
    fn answer(&self, bytes: &[u8], room: &[Segment]) -> u32 {
        let mut rest = bytes;
        for segment in room {
            let (now, later) = rest.split_at(rest.len().min(segment.len as usize));
            self.memory[0].write_bytes(segment.address, now).unwrap();
            rest = later;
        }
        u32::try_from(bytes.len() - rest.len()).unwrap()
    }

    /// Sends a message. Ignores a closed connection.
    pub(crate) fn send(&self, message: &Message) {
        let _ = self.channel.send(message);
    }
}

/// Echoes every request until isolation-host disconnects.
pub(crate) fn serve_honestly(device: TestDevice) {
    device.serve(|bytes, _| bytes.to_vec());
}

impl TestDevice {
    /// Serves every request of every queue until isolation-host disconnects. `answer` is used as in
    /// [`serve_if_any`](Self::serve_if_any).
    ///
    /// Like vhost-user-backend, the device looks at a queue only when it is notified, and drops
    /// notifications of a queue that is not enabled.
    pub(crate) fn serve(mut self, answer: impl Fn(&[u8], usize) -> Vec<u8>) {
        let mut queues: BTreeMap<u32, Queue> = BTreeMap::new();
        loop {
            let kicks = self.vrings.values().filter_map(|vring| vring.kick.as_ref());
            let mut fds = vec![PollFd::new(&self.channel, PollFlags::IN)];
            fds.extend(kicks.map(|kick| PollFd::from_borrowed_fd(kick.as_fd(), PollFlags::IN)));
            poll(&mut fds, None).unwrap();
            let message = !fds[0].revents().is_empty();
            drop(fds);
            if message {
                if self.step(Instant::now() + TIMEOUT).is_none() {
                    return;
                }
                queues.retain(|index, _| self.vrings.contains_key(index));
            }
            for (index, vring) in &self.vrings {
                let Some(kick) = &vring.kick else { continue };
                let notified = rustix::io::read(kick, &mut [0; 8]).is_ok();
                if !notified || !self.is_enabled(vring) {
                    continue;
                }
                let queue = queues.entry(*index).or_insert_with(|| self.queue(*index));
                while self.serve_if_any(*index, queue, &answer) || queue.arm() == Arm::Pending {}
            }
        }
    }

    /// Returns whether the device serves a queue.
    const fn is_enabled(&self, vring: &Vring) -> bool {
        // Without protocol features, a queue is enabled from its start.
        vring.enabled || self.offer.features & 1 << 30 == 0
    }

    /// Echoes the next request, if there is one. Returns whether there was one.
    pub(crate) fn echo_if_any(&self, index: u32, queue: &mut Queue) -> bool {
        self.serve_if_any(index, queue, |bytes, _| bytes.to_vec())
    }

    /// Serves the next request, if there is one: writes what `answer` returns for the readable
    /// bytes and the number of writable bytes. Returns whether there was a request.
    pub(crate) fn serve_if_any(
        &self,
        index: u32,
        queue: &mut Queue,
        answer: impl FnOnce(&[u8], usize) -> Vec<u8>,
    ) -> bool {
        let mut segments = [Segment::default(); 64];
        let Some(chain) = queue.pop(&mut segments).unwrap() else { return false };
        let bytes = self.read(chain.readable());
        let room = usize::try_from(Segment::total(chain.writable())).unwrap();
        let written = self.answer(&answer(&bytes, room), chain.writable());
        queue.complete(chain.into_token(), written).unwrap();
        if queue.publish().is_needed() {
            self.call(index);
        }
        true
    }
}
