//! The connection to the device, of which isolation-host is the front-end.

mod error;
mod greeting;
mod requests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub use error::LinkError;
pub use greeting::Greeting;
use requests::DeviceRequests;
use ring_core::{Features, Position, Setup};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::area::Area;
use crate::negotiation;
use crate::protocol::features::{LOG_ALL, PROTOCOL_FEATURES, protocol};
use crate::protocol::payload::{LogArea, MemoryTableHeader, SingleRegion, VringAddr, VringState};
use crate::protocol::{Channel, Message, ReceiveError, Request};

/// How long a device may think about an answer before it counts as dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to say whether it has moved its state, which it may still have to read: a VMM waits for ever.
const PATIENCE_FOR_STATE: Duration = Duration::from_secs(300);

/// A device that is connected, and what is known of it.
#[derive(Debug)]
pub struct DeviceLink {
    channel: Channel,
    /// What it asks of its own accord, if it can.
    requests: Option<DeviceRequests>,
    /// The virtio features that it offers.
    pub features: u64,
    /// The protocol features that it offers.
    pub protocol: u64,
    /// How many queues it says it has, if it says.
    pub queues: Option<u64>,
    /// The features that it was asked for last.
    asked: Option<u64>,
    area: Option<Area>,
}

impl DeviceLink {
    /// Learns what the device can, and agrees on the protocol.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if it does not answer as a vhost-user back-end does.
    pub fn new(channel: Channel) -> Result<Self, LinkError> {
        let mut greeting = Greeting::new(channel)?;
        let features = greeting.wait()?;
        Self::meet(greeting, features)
    }

    /// The same, of a device that has answered already that it offers these features.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn meet(greeting: Greeting, features: u64) -> Result<Self, LinkError> {
        let channel = greeting.into_channel();
        let mut link =
            Self { channel, requests: None, features, protocol: 0, queues: None, asked: None, area: None };
        link.tell(Request::SetOwner, Message::request(Request::SetOwner, &[0u8; 0]))?;
        if link.features & PROTOCOL_FEATURES != 0 {
            let offered = link.ask_u64(Request::GetProtocolFeatures)?;
            let asked = negotiation::protocol_asked(offered);
            // What was agreed before has no acknowledgements yet, so this is not checked.
            let request = Request::SetProtocolFeatures;
            link.tell(request, Message::request(request, &asked))?;
            link.protocol = offered;
            if asked & protocol::BACKEND_REQ != 0 {
                let (requests, other) = DeviceRequests::new().map_err(io::Error::from)?;
                link.requests = Some(requests);
                link.command(Request::SetBackendReqFd, &[0u8; 0], Some(other))?;
            }
            if asked & protocol::MQ != 0 {
                link.queues = Some(link.ask_u64(Request::GetQueueNum)?);
            }
        }
        Ok(link)
    }

    /// Agrees on virtio features.
    ///
    /// Whoever migrates the guest has its writes logged by isolation-host. To some devices the feature is also the
    /// sign that a migration is coming, so they get it, with a log that nobody reads.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if it does not take them.
    pub fn set_features(&mut self, mut asked: u64) -> Result<(), LinkError> {
        if asked & LOG_ALL != 0 && !self.give_log()? {
            asked &= !LOG_ALL;
        }
        if self.asked != Some(asked) {
            self.command(Request::SetFeatures, &asked, None)?;
            self.asked = Some(asked);
        }
        Ok(())
    }

    /// Gives the device a log of its memory, if it has memory and knows what to do with a log.
    fn give_log(&mut self) -> Result<bool, LinkError> {
        let Some(area) = self.area.as_ref().filter(|_| self.protocol & protocol::LOG_SHMFD != 0) else {
            return Ok(false);
        };
        if self.asked.is_none_or(|asked| asked & LOG_ALL == 0) {
            let (file, size) = area.log()?;
            let request = Request::SetLogBase;
            self.ask(request, Message::request(request, &LogArea { size, offset: 0 }).with_fd(file))?;
        }
        Ok(true)
    }

    /// The ring features that were agreed on.
    #[must_use]
    pub fn ring_features(&self) -> Features {
        negotiation::ring(self.asked.unwrap_or(0))
    }

    /// The device's memory; the first call makes it, for so many queues, and hands it over.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if it cannot be made, or if the device does not take it.
    pub fn area(&mut self, size: u64, queues: u16) -> Result<&Area, LinkError> {
        let area = match self.area.take() {
            Some(area) => area,
            None => {
                let area = Area::new(size, queues)?;
                self.hand_over(&area)?;
                area
            }
        };
        Ok(self.area.insert(area))
    }

    fn hand_over(&mut self, area: &Area) -> Result<(), LinkError> {
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

    /// Starts a queue on a zeroed ring. It serves nothing until it is enabled.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not take it.
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

    /// Lets a queue work, or pauses it. An old device, whose queues work as soon as they are started, is not told.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not do it.
    pub fn enable(&mut self, index: u32, enabled: bool) -> Result<(), LinkError> {
        if self.features & PROTOCOL_FEATURES == 0 {
            return Ok(());
        }
        let state = VringState { index, num: u32::from(enabled) };
        self.command(Request::SetVringEnable, &state, None)
    }

    /// Stops a queue. Returns its base: how far the device has fetched.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not do it.
    pub fn stop_queue(&mut self, index: u32) -> Result<u32, LinkError> {
        let request = Request::GetVringBase;
        let reply = self.ask(request, Message::request(request, &VringState { index, num: 0 }))?;
        Ok(body::<VringState>(&reply, request)?.num)
    }

    /// Has the device forget its driver and all that came of it, if it can be told to. Of one that cannot, the
    /// queues were stopped, which is all that any front-end can do.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device does not do it.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        if self.protocol & protocol::RESET_DEVICE == 0 {
            return Ok(());
        }
        self.asked = None;
        self.command(Request::ResetDevice, &[0u8; 0], None)
    }

    /// Passes a request on that means the same on both sides. Returns the answer where it has one.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses it or does not answer.
    pub fn pass_on(
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

    /// What the device sends on its own accord on this socket is wrong, whatever it is; that it has hung up is
    /// what can be learnt.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] if the connection is of no use any more.
    pub fn unasked(&mut self) -> Result<Option<u32>, ReceiveError> {
        Ok(self.channel.receive()?.map(|message| message.request))
    }

    /// Where the device is heard that asks of its own accord.
    #[must_use]
    pub fn requests(&self) -> Option<impl AsFd> {
        self.requests.as_ref().map(AsFd::as_fd)
    }

    /// Hears what the device asks of its own accord. A channel that is of no use any more is given up.
    pub fn hear_requests(&mut self) {
        if let Some(Err(error)) = self.requests.as_mut().map(DeviceRequests::hear) {
            tracing::debug!("the device asks nothing of its own accord any more: {error}");
            self.requests = None;
        }
    }

    /// Whether the device has said since this was asked last that its configuration has changed.
    pub fn take_config_change(&mut self) -> bool {
        self.requests.as_mut().is_some_and(DeviceRequests::take_config_change)
    }

    fn ask_u64(&mut self, request: Request) -> Result<u64, LinkError> {
        let reply = self.ask(request, Message::request(request, &[0u8; 0]))?;
        body(&reply, request)
    }

    /// Asks, and waits for the answer. What the device asks meanwhile is answered: it may wait for that first.
    fn ask(&mut self, request: Request, message: Message) -> Result<Message, LinkError> {
        self.tell(request, message)?;
        let patience = if request == Request::CheckDeviceState { PATIENCE_FOR_STATE } else { PATIENCE };
        let (deadline, receive) =
            (Instant::now() + patience, |source| LinkError::Receive { request, source });
        let reply = loop {
            if let Some(reply) = self.channel.receive().map_err(receive)? {
                break reply;
            }
            self.hear_requests();
            let others = self.requests.as_ref().map(AsFd::as_fd);
            self.channel.wait(others, deadline).map_err(receive)?;
        };
        answer(reply, request)
    }

    /// Orders, and waits for the acknowledgement if that was agreed on.
    fn command(
        &mut self,
        request: Request,
        payload: &(impl IntoBytes + Immutable + ?Sized),
        fds: impl IntoIterator<Item = OwnedFd>,
    ) -> Result<(), LinkError> {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if self.protocol & protocol::REPLY_ACK == 0 {
            return self.tell(request, message);
        }
        let reply = self.ask(request, message.needing_reply())?;
        match body(&reply, request)? {
            0u64 => Ok(()),
            code => Err(LinkError::Refused { request, code }),
        }
    }

    fn tell(&self, request: Request, message: Message) -> Result<(), LinkError> {
        self.channel.send(&message).map_err(|source| LinkError::Send { request, source })
    }
}

/// A message, if it is the answer to this request.
fn answer(message: Message, request: Request) -> Result<Message, LinkError> {
    if message.request == request as u32 && message.is_reply() {
        return Ok(message);
    }
    Err(LinkError::OtherAnswer { request, number: message.request })
}

/// What the answer to this request says.
fn body<T: FromBytes>(answer: &Message, request: Request) -> Result<T, LinkError> {
    answer.body().map_err(|malformed| LinkError::Malformed { request, malformed })
}

impl AsFd for DeviceLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
