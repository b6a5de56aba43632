//! The connection to the device, to which isolation-host is the vhost-user front-end.

mod backend_channel;
mod error;
mod handshake;
mod reply;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use backend_channel::BackendChannel;
pub use error::LinkError;
pub use handshake::Handshake;
use reply::{body, reply_to};
use ring_core::{Features, Position, Setup};
use zerocopy::{Immutable, IntoBytes};

use crate::area::Area;
use crate::negotiation;
use crate::protocol::features::{LOG_ALL, PROTOCOL_FEATURES, protocol};
use crate::protocol::payload::{LogArea, MemoryTableHeader, SingleRegion, VringAddr, VringState};
use crate::protocol::{Channel, Message, ReceiveError, Request};

/// How long a device may take to reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a device may take to reply to `CHECK_DEVICE_STATE`.
///
/// The device may still have to read the state, and the VMM waits without limit.
const STATE_REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// A connected device.
#[derive(Debug)]
pub struct DeviceLink {
    channel: Channel,
    /// The channel for the device's own requests, if the device supports one.
    backend: Option<BackendChannel>,
    /// The virtio features that the device offers.
    pub features: u64,
    /// The protocol features that the device offers.
    pub protocol: u64,
    /// The number of queues, if the device reports it.
    pub queues: Option<u64>,
    /// The features that were last negotiated.
    negotiated: Option<u64>,
    area: Option<Area>,
}

impl DeviceLink {
    /// Performs the whole handshake, and waits for the device.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not reply as a vhost-user back-end does.
    pub fn new(channel: Channel) -> Result<Self, LinkError> {
        let mut handshake = Handshake::new(channel)?;
        let features = handshake.wait()?;
        Self::complete(handshake, features)
    }

    /// Completes the handshake with a device that has replied that it offers these virtio features.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn complete(handshake: Handshake, features: u64) -> Result<Self, LinkError> {
        let channel = handshake.into_channel();
        let (backend, queues, negotiated, area) = (None, None, None, None);
        let mut link = Self { channel, backend, features, protocol: 0, queues, negotiated, area };
        link.send(Request::SetOwner, Message::request(Request::SetOwner, &[0u8; 0]))?;
        if link.features & PROTOCOL_FEATURES != 0 {
            let offered = link.ask_u64(Request::GetProtocolFeatures)?;
            let used = negotiation::protocol_asked(offered);
            // Acknowledgements are not negotiated yet, so the device does not reply.
            let request = Request::SetProtocolFeatures;
            link.send(request, Message::request(request, &used))?;
            link.protocol = offered;
            if used & protocol::BACKEND_REQ != 0 {
                let (backend, other) = BackendChannel::new().map_err(io::Error::from)?;
                link.backend = Some(backend);
                link.command(Request::SetBackendReqFd, &[0u8; 0], Some(other))?;
            }
            if used & protocol::MQ != 0 {
                link.queues = Some(link.ask_u64(Request::GetQueueNum)?);
            }
        }
        Ok(link)
    }

    /// Negotiates virtio features.
    ///
    /// isolation-host itself logs its writes to guest memory. Some devices also take the log
    /// feature as the sign that a migration begins. Such devices get the feature, with a log that
    /// is never read.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses the features.
    pub fn set_features(&mut self, mut features: u64) -> Result<(), LinkError> {
        if features & LOG_ALL != 0 && !self.share_log()? {
            features &= !LOG_ALL;
        }
        if self.negotiated != Some(features) {
            self.command(Request::SetFeatures, &features, None)?;
            self.negotiated = Some(features);
        }
        Ok(())
    }

    /// Gives the device a dirty log of the isolated area.
    ///
    /// Returns whether the device has an area and supports a log.
    fn share_log(&mut self) -> Result<bool, LinkError> {
        let Some(area) = self.area.as_ref().filter(|_| self.protocol & protocol::LOG_SHMFD != 0) else {
            return Ok(false);
        };
        if self.negotiated.is_none_or(|features| features & LOG_ALL == 0) {
            let (file, size) = area.log()?;
            let request = Request::SetLogBase;
            self.ask(request, Message::request(request, &LogArea { size, offset: 0 }).with_fd(file))?;
        }
        Ok(true)
    }

    /// Returns the ring features that were negotiated.
    #[must_use]
    pub fn ring_features(&self) -> Features {
        negotiation::ring(self.negotiated.unwrap_or(0))
    }

    /// Returns the isolated area.
    ///
    /// The first call makes an area of `size` bytes for `queues` queues, and gives it to the
    /// device.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the area cannot be made, or the device refuses it.
    pub fn area(&mut self, size: u64, queues: u16) -> Result<&Area, LinkError> {
        let area = match self.area.take() {
            Some(area) => area,
            None => {
                let area = Area::new(size, queues)?;
                self.share_area(&area)?;
                area
            }
        };
        Ok(self.area.insert(area))
    }

    fn share_area(&mut self, area: &Area) -> Result<(), LinkError> {
        let file = area.as_fd().try_clone_to_owned()?;
        let region = area.region();
        if self.protocol & protocol::CONFIGURE_MEM_SLOTS != 0 {
            let payload = SingleRegion { padding: 0, region };
            return self.command(Request::AddMemReg, &payload, Some(file));
        }
        let table = MemoryTableHeader { count: 1, padding: 0 };
        let payload = [table.as_bytes(), region.as_bytes()].concat();
        self.command(Request::SetMemTable, &payload[..], Some(file))
    }

    /// Starts a queue on a zeroed ring.
    ///
    /// The device serves the queue once it is [enabled](Self::enable).
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses the queue.
    pub fn start_queue(
        &mut self,
        index: u32,
        setup: &Setup,
        kick: BorrowedFd<'_>,
        call: BorrowedFd<'_>,
    ) -> Result<(), LinkError> {
        let size = VringState { index, num: setup.size.into() };
        self.command(Request::SetVringNum, &size, None)?;
        let base = if setup.features.contains(Features::RING_PACKED) {
            Position::PACKED_START.packed_base()
        } else {
            Position::SPLIT_START.split_base()
        };
        self.command(Request::SetVringBase, &VringState { index, num: base }, None)?;
        let areas = VringAddr {
            index,
            flags: 0,
            descriptor: setup.areas.descriptor,
            device: setup.areas.device,
            driver: setup.areas.driver,
            log: 0,
        };
        self.command(Request::SetVringAddr, &areas, None)?;
        for (request, fd) in [(Request::SetVringCall, call), (Request::SetVringKick, kick)] {
            self.command(request, &u64::from(index), Some(fd.try_clone_to_owned()?))?;
        }
        Ok(())
    }

    /// Enables or disables a queue.
    ///
    /// Does nothing for a device without protocol features, which serves a queue from its start.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses.
    pub fn enable(&mut self, index: u32, enabled: bool) -> Result<(), LinkError> {
        if self.features & PROTOCOL_FEATURES == 0 {
            return Ok(());
        }
        let state = VringState { index, num: u32::from(enabled) };
        self.command(Request::SetVringEnable, &state, None)
    }

    /// Stops a queue. Returns its vring base, which not every device reports correctly.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses.
    pub fn stop_queue(&mut self, index: u32) -> Result<u32, LinkError> {
        let request = Request::GetVringBase;
        let reply = self.ask(request, Message::request(request, &VringState { index, num: 0 }))?;
        Ok(body::<VringState>(request, &reply)?.num)
    }

    /// Resets the device and empties the isolated area, if the device supports resets.
    ///
    /// Stop its queues first; for other devices that is all.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        if self.protocol & protocol::RESET_DEVICE == 0 {
            return Ok(());
        }
        self.negotiated = None;
        self.command(Request::ResetDevice, &[0u8; 0], None)?;
        // The device has forgotten its requests. Their bytes go with the pages of the area.
        Ok(self.area.as_ref().map_or(Ok(()), Area::clear)?)
    }

    /// Relays a request that has the same meaning on both sides.
    ///
    /// Returns the reply, if the request has one.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses the request or does not reply.
    pub fn relay(
        &mut self,
        request: Request,
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Message>, LinkError> {
        if request.has_reply() {
            let message = Message::request(request, payload);
            return self.ask(request, fds.into_iter().fold(message, Message::with_fd)).map(Some);
        }
        self.command(request, payload, fds).map(|()| None)
    }

    /// Receives a message that is not a reply.
    ///
    /// A device never sends one, so call this only to detect the end of the connection. Returns the
    /// number of the message, if there is one.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] if the connection has ended.
    pub fn unexpected_message(&mut self) -> Result<Option<u32>, ReceiveError> {
        Ok(self.channel.receive()?.map(|message| message.request))
    }

    /// Returns the file descriptor of the back-end channel, if there is one.
    #[must_use]
    pub fn backend_channel(&self) -> Option<impl AsFd> {
        self.backend.as_ref().map(AsFd::as_fd)
    }

    /// Serves the device's requests on the back-end channel. Drops a channel that has failed.
    pub fn serve_backend_channel(&mut self) {
        let Some(backend) = &mut self.backend else { return };
        if let Err(error) = backend.serve() {
            tracing::debug!("the device's back-end channel has failed: {error}");
            self.backend = None;
        }
    }

    /// Returns whether the device has reported a change of its configuration since the last call.
    pub fn take_config_change(&mut self) -> bool {
        self.backend.as_mut().is_some_and(BackendChannel::take_config_change)
    }

    fn ask_u64(&mut self, request: Request) -> Result<u64, LinkError> {
        let reply = self.ask(request, Message::request(request, &[0u8; 0]))?;
        body(request, &reply)
    }

    /// Sends a request and waits for the reply.
    ///
    /// Serves the back-end channel meanwhile, because the device may wait for a reply there first.
    fn ask(&mut self, request: Request, message: Message) -> Result<Message, LinkError> {
        self.send(request, message)?;
        let timeout = if request == Request::CheckDeviceState { STATE_REPLY_TIMEOUT } else { REPLY_TIMEOUT };
        let deadline = Instant::now() + timeout;
        let failed = |source| LinkError::Receive { request, source };
        let message = loop {
            if let Some(message) = self.channel.receive().map_err(failed)? {
                break message;
            }
            self.serve_backend_channel();
            let backend = self.backend.as_ref().map(AsFd::as_fd);
            self.channel.wait(backend, deadline).map_err(failed)?;
        };
        reply_to(request, message)
    }

    /// Sends a request without a reply, and waits for the acknowledgement if one was negotiated.
    fn command(
        &mut self,
        request: Request,
        payload: &(impl IntoBytes + Immutable + ?Sized),
        fds: impl IntoIterator<Item = OwnedFd>,
    ) -> Result<(), LinkError> {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if self.protocol & protocol::REPLY_ACK == 0 {
            return self.send(request, message);
        }
        let reply = self.ask(request, message.needing_reply())?;
        match body(request, &reply)? {
            0u64 => Ok(()),
            code => Err(LinkError::Refused { request, code }),
        }
    }

    fn send(&self, request: Request, message: Message) -> Result<(), LinkError> {
        self.channel.send(&message).map_err(|source| LinkError::Send { request, source })
    }
}

impl AsFd for DeviceLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
