//! The connection to the device, to which isolation-host is the vhost-user front-end.

mod backend_channel;
mod budget;
mod error;
mod exchange;
mod handshake;
mod positions;
mod replies;
mod reply;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use backend_channel::BackendChannel;
pub use budget::Budget;
pub use error::LinkError;
use exchange::{Exchange, Purpose};
pub use handshake::Handshake;
use positions::Positions;
use ring_core::{Features, Position, Setup};
use zerocopy::IntoBytes;

use crate::area::Area;
use crate::negotiation;
use crate::protocol::features::{LOG_ALL, PROTOCOL_FEATURES, protocol};
use crate::protocol::payload::{LogArea, MemoryTableHeader, SingleRegion, VringAddr, VringState};
use crate::protocol::{Message, Request};

/// A connected device.
///
/// No method waits for the device once the [`Budget`] is spent. The device then continues to work
/// on what it was asked, and its replies are [received](Self::receive) later. Only
/// `CHECK_DEVICE_STATE` waits without regard to the budget.
#[derive(Debug)]
pub struct DeviceLink {
    exchange: Exchange,
    budget: Budget,
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
    /// Where the device has left its queues.
    left: Positions,
    /// A configuration that came too late for the VMM.
    late_config: Option<Vec<u8>>,
}

impl DeviceLink {
    /// Makes the link to a device that has replied what it offers.
    fn new(
        exchange: Exchange,
        budget: Budget,
        features: u64,
        offered: u64,
        queues: Option<u64>,
    ) -> Result<Self, LinkError> {
        let (backend, negotiated, area, late_config) = (None, None, None, None);
        let mut link = Self {
            exchange,
            budget,
            backend,
            features,
            protocol: offered,
            queues,
            negotiated,
            area,
            left: Positions::default(),
            late_config,
        };
        if negotiation::protocol_asked(offered) & protocol::BACKEND_REQ != 0 {
            let (backend, other) = BackendChannel::new().map_err(io::Error::from)?;
            link.backend = Some(backend);
            link.command(Request::SetBackendReqFd, &[0u8; 0], Some(other))?;
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
            let message = Message::request(request, &LogArea { size, offset: 0 }).with_fd(file);
            self.ask(request, Purpose::Accept, &message)?;
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

    /// Returns where the device has left a queue that it has stopped.
    #[must_use]
    pub fn left_at(&self, index: u32) -> Option<Position> {
        self.left.get(index)
    }

    /// Starts a queue on a ring without requests that begins at `position`.
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
        position: Position,
        kick: BorrowedFd<'_>,
        call: BorrowedFd<'_>,
    ) -> Result<(), LinkError> {
        let size = VringState { index, num: setup.size.into() };
        self.command(Request::SetVringNum, &size, None)?;
        let base = if setup.features.contains(Features::RING_PACKED) {
            position.packed_base()
        } else {
            position.split_base()
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

    /// Stops a queue. [`left_at`](Self::left_at) returns where, once the device has replied.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not reply as a vhost-user back-end does.
    pub fn stop_queue(&mut self, index: u32) -> Result<(), LinkError> {
        let request = Request::GetVringBase;
        let message = Message::request(request, &VringState { index, num: 0 });
        self.ask(request, Purpose::Accept, &message).map(drop)
    }

    /// Returns whether the device may have begun to serve all queues that were started.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.exchange.owes(&[Request::SetVringKick])
    }

    /// Returns whether the device is still stopping queues, so that none can be started.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.exchange.owes(&[Request::GetVringBase, Request::ResetDevice])
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
        self.command(Request::ResetDevice, &[0u8; 0], None)
    }

    /// Relays a request that has the same meaning on both sides.
    ///
    /// Returns the reply, without a payload if the request has none.
    ///
    /// # Errors
    ///
    /// [`LinkError::Slow`] if the device has not replied in time, and other errors if the device
    /// refuses the request.
    pub fn relay(
        &mut self,
        request: Request,
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Message>, LinkError> {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if !request.has_reply() {
            if self.protocol & protocol::REPLY_ACK == 0 {
                return self.exchange.send(request, &message).map(|()| None);
            }
            message = message.needing_reply();
        }
        let reply = self.ask(request, Purpose::Relay, &message)?;
        let reply = reply.ok_or(LinkError::Slow { request })?;
        Ok(request.has_reply().then_some(reply))
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
}

impl AsFd for DeviceLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.as_fd()
    }
}
