//! A device, which may be slow, silent, killed at any step, or lie.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use ring_core::memory::Memory as _;
use ring_core::{Areas, Arm, DeviceQueue, Features, Segment, Setup, Token, device};

use super::guest::{QUEUES, answer, is_deadly};
use super::random::Random;
use crate::mmap::Window;
use crate::protocol::features::{PROTOCOL_FEATURES, protocol};
use crate::protocol::payload::{SingleRegion, VringAddr, VringState};
use crate::protocol::{Message, Request};

/// How a device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Does all that it can immediately.
    Prompt,
    /// Does one thing at a time, rarely.
    Slow,
    /// Does nothing.
    Silent,
    /// Lies in replies and about used buffers.
    Lying,
}

/// What a device does.
#[derive(Debug)]
pub(super) enum Deed {
    /// Nothing is left to do.
    Idle,
    /// It works on its requests.
    Works,
    /// It sends a message.
    Sends(Message),
    /// It has written garbage into its memory.
    Lies,
    /// It ends.
    Dies,
}

/// A ring of the device.
#[derive(Debug, Default)]
struct Vring {
    size: u16,
    base: u32,
    areas: VringAddr,
    kick: Option<OwnedFd>,
    enabled: bool,
    /// Whether a notification says that there may be requests.
    notified: bool,
    ring: Option<DeviceQueue<Window, Vec<device::Slot>>>,
}

/// A request that the device has taken.
#[derive(Debug)]
struct Taken {
    index: usize,
    token: Token,
    number: u64,
    writable: Vec<Segment>,
}

/// A connected device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) manner: Manner,
    /// The messages that the device has not read.
    pub(super) inbox: VecDeque<Message>,
    features: u64,
    protocol: u64,
    queues: u64,
    acked: u64,
    window: Option<Window>,
    vrings: [Vring; QUEUES],
    taken: Vec<Taken>,
}

impl Device {
    /// Makes a device: the first one, or a later one. A `calm` one behaves.
    pub(super) fn new(first: bool, calm: bool, format: u64, random: &mut Random) -> Self {
        let features = Features::VERSION_1 | Features::EVENT_IDX | Features::INDIRECT_DESC;
        let features = features.bits() | PROTOCOL_FEATURES | format;
        let protocol =
            protocol::MQ | protocol::CONFIG | protocol::CONFIGURE_MEM_SLOTS | protocol::RESET_DEVICE;
        let acknowledges = if random.one_in(5) { 0 } else { protocol::REPLY_ACK };
        let manner = match random.below(10) {
            _ if calm => Manner::Prompt,
            0..=4 => Manner::Prompt,
            5..=6 => Manner::Slow,
            7 => Manner::Silent,
            _ => Manner::Lying,
        };
        let mut made = Self {
            manner,
            inbox: VecDeque::new(),
            features,
            protocol: protocol | acknowledges,
            queues: 2,
            acked: 0,
            window: None,
            vrings: Default::default(),
            taken: Vec::new(),
        };
        // Less than what an earlier device has offered, or what a VMM needs. The first device
        // determines how many queues there are.
        if manner == Manner::Lying && random.one_in(4) {
            match random.below(4) {
                0 => made.features &= random.next() | PROTOCOL_FEATURES,
                1 => made.protocol &= random.next() | protocol::MQ,
                2 if !first => made.queues = random.below(2),
                _ => made.features = 0,
            }
        }
        made
    }

    /// Does one thing.
    pub(super) fn act(&mut self, random: &mut Random) -> Deed {
        if self.manner == Manner::Silent {
            return Deed::Idle;
        }
        if self.manner == Manner::Lying && random.one_in(6) {
            return self.lie(random);
        }
        if let Some(message) = self.inbox.pop_front() {
            return match self.reply(message) {
                Some(reply) if self.manner == Manner::Lying && random.one_in(12) => {
                    Deed::Sends(wrong(&reply, random))
                }
                Some(reply) => Deed::Sends(reply),
                None => Deed::Works,
            };
        }
        self.serve(random)
    }

    fn lie(&mut self, random: &mut Random) -> Deed {
        let Some(window) = &self.window else { return Deed::Sends(Message::request(99u32, &0u64)) };
        let areas = self.vrings[usize::from(random.one_in(2))].areas;
        let area = [areas.descriptor, areas.driver, areas.device][usize::try_from(random.below(3)).unwrap()];
        let bytes = random.next().to_le_bytes();
        let len = usize::try_from(random.below(8)).unwrap() + 1;
        let _ = window.write_bytes(area + 2 * random.below(16), &bytes[..len]);
        Deed::Lies
    }

    /// Handles a message. Returns the reply.
    fn reply(&mut self, mut message: Message) -> Option<Message> {
        let request = Request::try_from(message.request).unwrap();
        match request {
            Request::GetFeatures => return Some(message.reply(&self.features)),
            Request::GetProtocolFeatures => return Some(message.reply(&self.protocol)),
            Request::GetQueueNum => return Some(message.reply(&self.queues)),
            Request::GetConfig => return Some(message.reply(&message.payload[..])),
            Request::GetVringBase => {
                let VringState { index, .. } = message.body().unwrap();
                let vring = &mut self.vrings[index as usize];
                let base = vring.ring.take().map_or(0, |ring| ring.vring_base());
                self.taken.retain(|taken| taken.index != index as usize);
                return Some(message.reply(&VringState { index, num: base }));
            }
            Request::SetFeatures => self.acked = message.body().unwrap(),
            Request::AddMemReg => {
                let SingleRegion { region, .. } = message.body().unwrap();
                let file = message.take_fd().unwrap();
                let window = Window::map(&file, region.offset, region.size, region.user_address);
                self.window = Some(window.unwrap());
            }
            Request::ResetDevice => {
                (self.vrings, self.acked) = (Default::default(), 0);
                self.taken.clear();
            }
            _ => self.configure(request, &mut message),
        }
        message.needs_reply().then(|| message.reply(&0u64))
    }

    /// Handles a message about a queue. Ignores others.
    fn configure(&mut self, request: Request, message: &mut Message) {
        match request {
            Request::SetVringNum | Request::SetVringBase | Request::SetVringEnable => {
                let VringState { index, num } = message.body().unwrap();
                let vring = &mut self.vrings[index as usize];
                match request {
                    Request::SetVringNum => vring.size = u16::try_from(num).unwrap(),
                    Request::SetVringBase => vring.base = num,
                    _ => {
                        vring.receive_notifications();
                        vring.enabled = num != 0;
                    }
                }
            }
            Request::SetVringAddr => {
                let areas: VringAddr = message.body().unwrap();
                self.vrings[areas.index as usize].areas = areas;
            }
            Request::SetVringKick => {
                let index = usize::try_from(message.body::<u64>().unwrap()).unwrap();
                let vring = &mut self.vrings[index];
                (vring.kick, vring.notified) = (Some(message.take_fd().unwrap()), false);
                self.start(index);
            }
            _ => {}
        }
    }

    fn start(&mut self, index: usize) {
        let vring = &mut self.vrings[index];
        let VringAddr { descriptor, driver, device, .. } = vring.areas;
        let areas = Areas { descriptor, driver, device };
        let setup = Setup::new(vring.size, Features::from_bits_retain(self.acked), areas);
        let slots = vec![device::Slot::EMPTY; vring.size.into()];
        // A device whose offer is a lie may have no memory, or no valid ring.
        let Some(window) = self.window.clone() else { return };
        let Ok(mut ring) = DeviceQueue::new(window, &setup, slots) else { return };
        if ring.resume(ring.position_of(vring.base)).is_ok() {
            vring.ring = Some(ring);
        }
    }

    /// Takes or completes a request.
    fn serve(&mut self, random: &mut Random) -> Deed {
        let Some(window) = &self.window else { return Deed::Idle };
        for (index, vring) in self.vrings.iter_mut().enumerate() {
            vring.receive_notifications();
            let Some(ring) = vring.ring.as_mut().filter(|_| vring.enabled && vring.notified) else {
                continue;
            };
            let mut segments = [Segment::default(); 64];
            // Only a device that has written into its own ring gets an error.
            let Ok(Some(chain)) = ring.pop(&mut segments) else {
                vring.notified = ring.arm() == Arm::Pending;
                continue;
            };
            let (number, writable) = (number(window, chain.readable()), chain.writable().to_vec());
            if is_deadly(number) {
                return Deed::Dies;
            }
            let honest = self.manner != Manner::Lying;
            let again = self.taken.iter().any(|taken| taken.number == number);
            assert!(!honest || !again, "request {number} is with the device twice");
            self.taken.push(Taken { index, token: chain.into_token(), number, writable });
            return Deed::Works;
        }
        if self.taken.is_empty() {
            return Deed::Idle;
        }
        let at = usize::try_from(random.below(self.taken.len() as u64)).unwrap();
        self.complete(at);
        Deed::Works
    }

    fn complete(&mut self, at: usize) {
        let Taken { index, token, number, writable } = self.taken.swap_remove(at);
        let Some(window) = &self.window else { return };
        let mut bytes = answer(number).to_le_bytes().to_vec();
        bytes.push(0);
        let mut rest = &bytes[..];
        for segment in &writable {
            let (now, later) = rest.split_at(rest.len().min(segment.len as usize));
            let _ = window.write_bytes(segment.address, now);
            rest = later;
        }
        let written = u32::try_from(bytes.len() - rest.len()).unwrap();
        if let Some(ring) = &mut self.vrings[index].ring {
            let _ = ring.complete(token, written);
            let _ = ring.publish();
        }
    }
}

impl Vring {
    /// Receives all notifications. Drops those of a queue that is not enabled, as the crate
    /// vhost-user-backend does.
    fn receive_notifications(&mut self) {
        let Some(kick) = &self.kick else { return };
        while rustix::io::read(kick, &mut [0; 8]).is_ok() {
            self.notified |= self.enabled;
        }
    }
}

/// Returns the number of a request.
fn number(window: &Window, readable: &[Segment]) -> u64 {
    let mut bytes = [0; 16];
    if let Some(first) = readable.first() {
        let len = bytes.len().min(first.len as usize);
        let _ = window.read_bytes(first.address, &mut bytes[..len]);
    }
    u64::from_le_bytes(*bytes.last_chunk().unwrap())
}

/// Returns a reply that is wrong.
fn wrong(reply: &Message, random: &mut Random) -> Message {
    let has_reply = Request::try_from(reply.request).is_ok_and(Request::has_reply);
    match random.below(4) {
        0 if !has_reply => Message::request(reply.request, &1u64).reply(&1u64),
        1 => Message::request(reply.request, &[0u8; 0]).reply(&[0xffu8; 3]),
        2 => Message::request(reply.request ^ 1, &[0u8; 0]).reply(&0u64),
        _ => Message::request(reply.request, &reply.payload[..]),
    }
}
