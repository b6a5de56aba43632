//! The conversation with the device, to which isolation-host is the vhost-user front-end.
//!
//! Nothing here has a socket or reads a clock: messages for the device are taken out with
//! [`next_message`](DeviceLink::next_message), and messages of the device are handed to
//! [`receive`](DeviceLink::receive).

mod backend_channel;
mod error;
mod exchange;
mod handshake;
mod link_type;
mod positions;
mod replies;
mod reply;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

pub use backend_channel::BackendChannel;
pub use error::LinkError;
use exchange::{Exchange, Purpose};
pub use exchange::{STATE_REPLY_TIMEOUT, Ticket};
pub use handshake::Handshake;
pub use link_type::LinkType;
use positions::Positions;
pub use replies::{LinkEvent, Relayed};
use ring_core::{Features, Position, Setup};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use zerocopy::{Immutable, IntoBytes};

use crate::area::Area;
use crate::negotiation;
use crate::protocol::features::{LOG_ALL, PROTOCOL_FEATURES, protocol};
use crate::protocol::payload::{LogArea, MemoryTableHeader, SingleRegion, VringAddr, VringState};
use crate::protocol::{Message, Request};

/// A connected device.
///
/// No method waits for the device. The device works on what it was asked, and its replies are
/// [received](Self::receive) later.
#[derive(Debug)]
pub struct DeviceLink {
    exchange: Exchange,
    /// This process's end of the channel for the device's own requests, until it is taken.
    backend: Option<OwnedFd>,
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
}

impl DeviceLink {
    /// Makes the link to a device that has replied what it offers.
    fn new(exchange: Exchange, features: u64, offered: u64, queues: Option<u64>) -> Result<Self, LinkError> {
        let (backend, negotiated, area) = (None, None, None);
        let mut link = Self {
            exchange,
            backend,
            features,
            protocol: offered,
            queues,
            negotiated,
            area,
            left: Positions::default(),
        };
        if negotiation::protocol_asked(offered) & protocol::BACKEND_REQ != 0 {
            let flags = SocketFlags::CLOEXEC;
            let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let (own, other) = pair.map_err(io::Error::from)?;
            link.backend = Some(own);
            link.command(Request::SetBackendReqFd, &[0u8; 0], Some(other));
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
    /// [`LinkError`] if the log cannot be made.
    pub fn set_features(&mut self, mut features: u64) -> Result<(), LinkError> {
        if features & LOG_ALL != 0 && !self.share_log()? {
            features &= !LOG_ALL;
        }
        if self.negotiated != Some(features) {
            self.command(Request::SetFeatures, &features, None);
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
            self.exchange.push(request, Some(Purpose::Accept), message);
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
    /// [`LinkError`] if the area cannot be made.
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
            self.command(Request::AddMemReg, &payload, Some(file));
            return Ok(());
        }
        let table = MemoryTableHeader { count: 1, padding: 0 };
        let payload = [table.as_bytes(), region.as_bytes()].concat();
        self.command(Request::SetMemTable, &payload[..], Some(file));
        Ok(())
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
    /// [`LinkError`] if the process has too many open files.
    pub fn start_queue(
        &mut self,
        index: u32,
        setup: &Setup,
        position: Position,
        kick: BorrowedFd<'_>,
        call: BorrowedFd<'_>,
    ) -> Result<(), LinkError> {
        let size = VringState { index, num: setup.size.into() };
        self.command(Request::SetVringNum, &size, None);
        let base = if setup.features.contains(Features::RING_PACKED) {
            position.packed_base()
        } else {
            position.split_base()
        };
        self.command(Request::SetVringBase, &VringState { index, num: base }, None);
        let areas = VringAddr {
            index,
            flags: 0,
            descriptor: setup.areas.descriptor,
            device: setup.areas.device,
            driver: setup.areas.driver,
            log: 0,
        };
        self.command(Request::SetVringAddr, &areas, None);
        for (request, fd) in [(Request::SetVringCall, call), (Request::SetVringKick, kick)] {
            self.command(request, &u64::from(index), Some(fd.try_clone_to_owned()?));
        }
        Ok(())
    }

    /// Enables or disables a queue. Once the device has enabled the queue,
    /// [`receive`](Self::receive) returns [`LinkEvent::Enabled`].
    ///
    /// Does nothing for a device without protocol features, which serves a queue from its start.
    pub fn enable(&mut self, index: u32, enabled: bool) {
        if self.features & PROTOCOL_FEATURES == 0 {
            return;
        }
        let request = Request::SetVringEnable;
        let state = VringState { index, num: u32::from(enabled) };
        if !enabled {
            return self.command(request, &state, None);
        }
        let (message, purpose) = (Message::request(request, &state), Some(Purpose::Enable(index)));
        if self.protocol & protocol::REPLY_ACK != 0 {
            return self.exchange.push(request, purpose, message.needing_reply());
        }
        // The reply to another request shows that the device has handled the message before.
        self.exchange.push(request, None, message);
        let request = Request::GetFeatures;
        self.exchange.push(request, purpose, Message::request(request, &[0u8; 0]));
    }

    /// Stops a queue. [`left_at`](Self::left_at) returns where, once the device has replied.
    pub fn stop_queue(&mut self, index: u32) {
        let request = Request::GetVringBase;
        let message = Message::request(request, &VringState { index, num: 0 });
        self.exchange.push(request, Some(Purpose::Accept), message);
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
    /// Stop the device's queues first. A device that does not support resets is only stopped.
    pub fn reset(&mut self) {
        if self.protocol & protocol::RESET_DEVICE != 0 {
            self.negotiated = None;
            self.command(Request::ResetDevice, &[0u8; 0], None);
        }
    }

    /// Relays a request that has the same meaning on both sides.
    ///
    /// Returns the ticket of the reply, or `None` if the request has no reply of its own and the
    /// device does not acknowledge requests.
    pub fn relay(&mut self, request: Request, payload: &[u8], fds: Vec<OwnedFd>) -> Option<Ticket> {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if !request.has_reply() {
            if self.protocol & protocol::REPLY_ACK == 0 {
                self.exchange.push(request, None, message);
                return None;
            }
            message = message.needing_reply();
        }
        let ticket = self.exchange.ticket();
        self.exchange.push(request, Some(Purpose::Relay(ticket)), message);
        Some(ticket)
    }

    /// Returns whether the device has too many unhandled messages to relay a request.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.exchange.is_full()
    }

    /// Takes this process's end of the back-end channel, if there is one.
    pub const fn take_backend_channel(&mut self) -> Option<OwnedFd> {
        self.backend.take()
    }

    /// Sends a request that has no reply of its own. The device acknowledges the request if
    /// `REPLY_ACK` was negotiated.
    fn command(
        &mut self,
        request: Request,
        payload: &(impl IntoBytes + Immutable + ?Sized),
        fds: impl IntoIterator<Item = OwnedFd>,
    ) {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if self.protocol & protocol::REPLY_ACK == 0 {
            return self.exchange.push(request, None, message);
        }
        self.exchange.push(request, Some(Purpose::Accept), message.needing_reply());
    }
}
