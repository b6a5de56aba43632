//! A vhost-user device that answers every request, and keeps all files and addresses that it
//! receives.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use isolation_host::protocol::payload::{MemoryRegion, SingleRegion, VringAddr, VringState};
use isolation_host::protocol::{Channel, Message, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::io::{pread, pwrite};

use crate::machine::TIMEOUT;

/// `VIRTIO_F_VERSION_1` and `VHOST_USER_F_PROTOCOL_FEATURES`.
pub(crate) const FEATURES: u64 = 1 << 32 | 1 << 30;
/// MQ, REPLY_ACK, CONFIG and CONFIGURE_MEM_SLOTS.
const PROTOCOL: u64 = 1 | 1 << 3 | 1 << 9 | 1 << 15;

/// A queue, as the front-end has configured it.
#[derive(Debug, Default)]
struct Vring {
    size: u16,
    areas: VringAddr,
    kick: Option<OwnedFd>,
    call: Option<OwnedFd>,
    enabled: bool,
    next: u16,
}

/// A connected device.
pub(crate) struct Spy {
    channel: Channel,
    features: u64,
    regions: Vec<(MemoryRegion, OwnedFd)>,
    vrings: BTreeMap<u32, Vring>,
    /// All files that came with messages.
    pub(crate) files: Vec<OwnedFd>,
    /// All addresses in messages and in descriptors.
    pub(crate) addresses: Vec<u64>,
    /// The bytes of the requests.
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Spy {
    pub(crate) fn accept(listener: &UnixListener, features: u64) -> io::Result<Self> {
        let (stream, _) = listener.accept()?;
        let channel = Channel::new(stream.into());
        let (regions, vrings, files) = (Vec::new(), BTreeMap::new(), Vec::new());
        Ok(Self { channel, features, regions, vrings, files, addresses: Vec::new(), requests: Vec::new() })
    }

    /// Serves messages and requests until the peer disconnects, or until `done` holds.
    pub(crate) fn serve_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let kicks: Vec<_> = self.vrings.values().filter_map(|vring| vring.kick.as_ref()).collect();
            let mut fds = vec![PollFd::new(&self.channel, PollFlags::IN)];
            fds.extend(kicks.iter().map(|kick| PollFd::from_borrowed_fd(kick.as_fd(), PollFlags::IN)));
            poll(&mut fds, None).expect("the descriptors are open");
            let has_message = !fds[0].revents().is_empty();
            for kick in kicks {
                let _ = rustix::io::read(kick, &mut [0; 8]);
            }
            if has_message && self.answer().is_none() {
                return;
            }
            let indices: Vec<u32> = self.vrings.keys().copied().collect();
            for index in indices {
                while self.serve(index).is_some() {}
            }
        }
    }

    /// Serves until a queue is started. Returns false if the peer disconnects first.
    pub(crate) fn serve_until_started(&mut self, index: u8) -> bool {
        let is_started = |spy: &Self| {
            let vring = spy.vrings.get(&index.into());
            vring.is_some_and(|vring| vring.enabled && vring.kick.is_some())
        };
        self.serve_until(is_started);
        is_started(self)
    }

    /// Answers a message. Returns `None` after the end of the connection.
    fn answer(&mut self) -> Option<()> {
        let mut message = self.channel.receive_by(Instant::now() + TIMEOUT).ok()?;
        self.files.extend(message.fds.iter().filter_map(|fd| fd.try_clone().ok()));
        let request = Request::try_from(message.request).ok()?;
        let reply = match request {
            Request::GetFeatures => Some(message.reply(&self.features)),
            Request::GetProtocolFeatures => Some(message.reply(&PROTOCOL)),
            Request::GetQueueNum => Some(message.reply(&2u64)),
            Request::GetMaxMemSlots => Some(message.reply(&509u64)),
            Request::GetConfig => Some(message.reply(&message.payload[..])),
            Request::GetVringBase => {
                let VringState { index, .. } = message.body().ok()?;
                let left = self.vrings.remove(&index).unwrap_or_default();
                Some(message.reply(&VringState { index, num: left.next.into() }))
            }
            _ => {
                self.configure(request, &mut message);
                message.needs_reply().then(|| message.reply(&0u64))
            }
        };
        reply.map_or(Some(()), |reply| self.channel.send(&reply).ok())
    }

    fn configure(&mut self, request: Request, message: &mut Message) -> Option<()> {
        match request {
            Request::AddMemReg => {
                let SingleRegion { region, .. } = message.body().ok()?;
                self.addresses.extend([region.guest_address, region.user_address]);
                self.regions.push((region, message.take_fd().ok()?));
            }
            Request::SetVringNum | Request::SetVringBase | Request::SetVringEnable => {
                let VringState { index, num } = message.body().ok()?;
                let vring = self.vrings.entry(index).or_default();
                match request {
                    Request::SetVringNum => vring.size = u16::try_from(num).ok()?,
                    Request::SetVringBase => vring.next = u16::try_from(num).ok()?,
                    _ => vring.enabled = num != 0,
                }
            }
            Request::SetVringAddr => {
                let areas: VringAddr = message.body().ok()?;
                self.addresses.extend([areas.descriptor, areas.driver, areas.device]);
                self.vrings.entry(areas.index).or_default().areas = areas;
            }
            Request::SetVringKick | Request::SetVringCall => {
                let index = u32::try_from(message.body::<u64>().ok()? & 0xff).ok()?;
                let vring = self.vrings.entry(index).or_default();
                let fd = message.take_fd().ok();
                if request == Request::SetVringKick { vring.kick = fd } else { vring.call = fd }
            }
            _ => {}
        }
        Some(())
    }

    /// Serves the next request of a queue.
    fn serve(&mut self, index: u32) -> Option<()> {
        let Vring { size, areas, enabled, next, .. } = *self.vrings.get(&index)?;
        if !enabled || self.number(areas.driver + 2)? == next {
            return None;
        }
        let head = self.number(areas.driver + 4 + 2 * u64::from(next % size))?;
        let (mut at, mut bytes, mut written) = (head, Vec::new(), 0u32);
        loop {
            let descriptor: [u8; 16] = self.bytes(areas.descriptor + 16 * u64::from(at), true)?;
            let address = u64::from_le_bytes(descriptor[..8].try_into().ok()?);
            let len = u32::from_le_bytes(descriptor[8..12].try_into().ok()?);
            let flags = u16::from_le_bytes([descriptor[12], descriptor[13]]);
            self.addresses.push(address);
            for offset in (0..u64::from(len)).filter(|_| flags & 2 == 0) {
                bytes.extend(self.bytes::<1>(address + offset, false)?);
            }
            if flags & 2 != 0 {
                // The last byte is zero, which is the status of a successful disk request.
                let answer: Vec<u8> = (1..len).map(|_| b'a').chain([0]).collect();
                self.store(address, false, &answer)?;
                written += len;
            }
            at = u16::from_le_bytes([descriptor[14], descriptor[15]]);
            if flags & 1 == 0 {
                break;
            }
        }
        let element = [u32::from(head).to_le_bytes(), written.to_le_bytes()].concat();
        self.store(areas.device + 4 + 8 * u64::from(next % size), true, &element)?;
        self.store(areas.device + 2, true, &next.wrapping_add(1).to_le_bytes())?;
        self.requests.push(bytes);
        let vring = self.vrings.get_mut(&index)?;
        vring.next = next.wrapping_add(1);
        vring.call.as_ref().map(|call| rustix::io::write(call, &1u64.to_ne_bytes()));
        Some(())
    }

    fn number(&self, address: u64) -> Option<u16> {
        self.bytes(address, true).map(u16::from_le_bytes)
    }

    /// Returns the file and the offset of an address, which is an address of the VMM or of the
    /// guest.
    fn find(&self, address: u64, of_vmm: bool) -> Option<(&OwnedFd, u64)> {
        self.regions.iter().find_map(|(region, file)| {
            let start = if of_vmm { region.user_address } else { region.guest_address };
            let offset = address.checked_sub(start).filter(|offset| *offset < region.size)?;
            Some((file, region.offset + offset))
        })
    }

    fn bytes<const N: usize>(&self, address: u64, of_vmm: bool) -> Option<[u8; N]> {
        let (file, offset) = self.find(address, of_vmm)?;
        let mut bytes = [0; N];
        (pread(file, &mut bytes, offset).ok()? == N).then_some(bytes)
    }

    fn store(&self, address: u64, of_vmm: bool, bytes: &[u8]) -> Option<()> {
        let (file, offset) = self.find(address, of_vmm)?;
        (pwrite(file, bytes, offset).ok()? == bytes.len()).then_some(())
    }

    /// Returns in how many of its files the device finds `canary`.
    pub(crate) fn files_with(&self, canary: &[u8]) -> usize {
        let has = |file: &&OwnedFd| {
            let size = fstat(file).map_or(0, |stat| usize::try_from(stat.st_size).unwrap_or(0));
            let mut all = vec![0; size];
            let read = pread(file, &mut all, 0).unwrap_or(0);
            all.truncate(read);
            all.windows(canary.len()).any(|bytes| bytes == canary)
        };
        self.files.iter().filter(has).count()
    }
}
