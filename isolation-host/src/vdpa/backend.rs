//! One connection of the control plane: messages of vhost-user become requests to the kernel.
//!
//! ```text
//!            1 SET_VRING_*             2 settled                  3 GET_VRING_BASE of the last
//!   stopped ──────────────▶ configured ─────────▶ running queues ──────────────▶ stopped
//!                                                   │ 4 a late queue, NEEDS_RESET, an error
//!                                                   ▼
//!                                     the connection ends; the next one starts all queues
//! ```
//!
//! 1. [`Vrings::configure`]; 2. [`Backend::start`]; 3. [`Backend::stop`]; 4. [`VdpaError`]

use std::os::fd::AsFd as _;
use std::time::Duration;

use ring_core::Features;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zerocopy::IntoBytes as _;

use super::device::Device;
use super::error::VdpaError;
use super::vrings::Vrings;
use crate::error_chain::ErrorChain;
use crate::mmap::Window;
use crate::protocol::features::protocol;
use crate::protocol::payload::{ConfigHeader, MemoryRegion, MemoryTableHeader, VringState};
use crate::protocol::{BackendRequest, Channel, Message, ReceiveError, Request, SendError};

/// How long the control plane has to be silent before queues are started.
///
/// All queues of a device are started at once, and the control plane starts one after the other. A
/// queue that comes later costs a new connection.
const SETTLE: Duration = Duration::from_millis(20);

/// The protocol features of the back-end.
const PROTOCOL: u64 =
    protocol::MQ | protocol::REPLY_ACK | protocol::CONFIG | protocol::RESET_DEVICE | protocol::BACKEND_REQ;

/// The back-end of one connection.
#[derive(Debug)]
pub(super) struct Backend<'d> {
    device: &'d mut Device,
    channel: Channel,
    /// The channel for requests to the control plane.
    requests: Option<Channel>,
    features: u64,
    vrings: Vrings,
    running: bool,
}

/// What the back-end waits for.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    message: bool,
    config: bool,
    removal: bool,
}

impl<'d> Backend<'d> {
    pub(super) fn new(device: &'d mut Device, channel: Channel) -> Self {
        let vrings = Vrings::new(device.facts().queues);
        Self { device, channel, requests: None, features: 0, vrings, running: false }
    }

    /// Serves the connection until it ends. Returns why.
    pub(super) fn serve(mut self) -> VdpaError {
        let Err(error) = self.device.clear().and_then(|()| self.run());
        error
    }

    fn run(&mut self) -> Result<std::convert::Infallible, VdpaError> {
        loop {
            while let Some(message) = self.receive()? {
                self.answer(message)?;
            }
            let ready = self.wait()?;
            if ready.removal && self.device.is_removed() {
                return Err(VdpaError::Removed);
            }
            if ready.config {
                self.report_config()?;
            }
            let quiet = !ready.message && !ready.config && !ready.removal;
            if quiet && self.may_start() {
                self.start()?;
            }
        }
    }

    fn receive(&mut self) -> Result<Option<Message>, VdpaError> {
        self.channel.receive().map_err(|error| match error {
            ReceiveError::Closed => VdpaError::Closed,
            _ => VdpaError::Message,
        })
    }

    fn may_start(&self) -> bool {
        !self.running && self.vrings.has_enabled()
    }

    fn wait(&self) -> Result<Ready, VdpaError> {
        let timeout = self.may_start().then(|| Timespec::try_from(SETTLE).unwrap_or_default());
        let polled = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let removal = self.device.removal().as_fd();
        let mut fds =
            [self.channel.as_fd(), self.device.config_call(), removal.unwrap_or(self.device.config_call())]
                .map(polled);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready { message: true, ..Ready::default() }),
            Err(error) => return Err(VdpaError::Open(error.into())),
        }
        let [message, config, removed] = fds.map(|fd| !fd.revents().is_empty());
        Ok(Ready { message, config, removal: removed && removal.is_some() })
    }

    /// Starts all queues.
    fn start(&mut self) -> Result<(), VdpaError> {
        self.device.start(self.features, self.vrings.started())?;
        self.running = true;
        let queues = self.vrings.started().count();
        tracing::debug!("the vDPA device runs with {queues} queues and features {:#x}", self.features);
        Ok(())
    }

    /// Stops a queue. The last one stops the device.
    fn stop(&mut self, index: u32) -> Result<VringState, VdpaError> {
        let packed = self.features & Features::RING_PACKED.bits() != 0;
        let left = self.vrings.stop(index, packed);
        if self.running && self.vrings.started().next().is_none() {
            self.reset()?;
        }
        Ok(left)
    }

    fn reset(&mut self) -> Result<(), VdpaError> {
        self.running = false;
        self.device.reset()
    }

    /// Reports that the configuration has changed, unless the device has failed.
    fn report_config(&mut self) -> Result<(), VdpaError> {
        let _ = rustix::io::read(self.device.config_call(), &mut [0; 8]);
        self.device.check()?;
        self.tell_change();
        Ok(())
    }

    /// Tells the control plane that the configuration has changed.
    fn tell_change(&mut self) {
        let Some(requests) = &self.requests else { return };
        match requests.send(&Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0])) {
            // The control plane has not received the earlier messages yet, which say the same.
            Ok(()) | Err(SendError::Full) => {}
            Err(error) => {
                tracing::debug!("the control plane has closed the back-end channel: {}", ErrorChain(&error));
                self.requests = None;
            }
        }
    }

    fn answer(&mut self, mut message: Message) -> Result<(), VdpaError> {
        let request = Request::try_from(message.request).map_err(|_| VdpaError::Message)?;
        let reply = match request {
            Request::GetFeatures => Some(message.reply(&self.device.offered())),
            Request::GetProtocolFeatures => Some(message.reply(&PROTOCOL)),
            Request::GetQueueNum => Some(message.reply(&self.queue_count())),
            Request::GetConfig => Some(self.read_config(&message)?),
            Request::GetVringBase => {
                let VringState { index, .. } = message.body().map_err(|_| VdpaError::Message)?;
                Some(message.reply(&self.stop(index)?))
            }
            Request::SetConfig => {
                let code = reply_code(self.write_config(&message))?;
                message.needs_reply().then(|| message.reply(&code))
            }
            _ => {
                self.apply(request, &mut message)?;
                message.needs_reply().then(|| message.reply(&0u64))
            }
        };
        match reply {
            Some(reply) => self.channel.send(&reply).map_err(|_| VdpaError::Closed),
            None => Ok(()),
        }
    }

    /// Applies a message without a reply of its own.
    fn apply(&mut self, request: Request, message: &mut Message) -> Result<(), VdpaError> {
        match request {
            Request::SetOwner | Request::SetProtocolFeatures => Ok(()),
            Request::SetFeatures => self.set_features(message.body().map_err(|_| VdpaError::Message)?),
            Request::SetBackendReqFd => {
                let fd = message.take_fd().map_err(|_| VdpaError::Message)?;
                self.requests = Some(Channel::new(fd));
                Ok(())
            }
            Request::SetMemTable => self.map(message),
            Request::ResetDevice => {
                self.vrings.clear();
                self.reset()
            }
            Request::SetVringNum
            | Request::SetVringBase
            | Request::SetVringAddr
            | Request::SetVringEnable
            | Request::SetVringCall
            | Request::SetVringKick => match self.vrings.configure(request, message)? {
                Some(index) if self.running => Err(VdpaError::Late { index }),
                _ => Ok(()),
            },
            // Nothing else has a protocol feature that is offered.
            _ => Err(VdpaError::Message),
        }
    }

    /// Keeps the features for the next start. A device that runs has to start again.
    fn set_features(&mut self, features: u64) -> Result<(), VdpaError> {
        if self.running && features != self.features {
            return Err(VdpaError::Renegotiated { features });
        }
        self.features = features;
        Ok(())
    }

    /// Maps the isolated area for the device.
    fn map(&mut self, message: &mut Message) -> Result<(), VdpaError> {
        let malformed = || VdpaError::Message;
        let (_, region): (MemoryTableHeader, _) = message.body_and_rest().map_err(|_| malformed())?;
        let region: MemoryRegion = zerocopy::FromBytes::read_from_bytes(region).map_err(|_| malformed())?;
        let file = message.take_fd().map_err(|_| malformed())?;
        let window = Window::map(file, region.offset, region.size, region.guest_address);
        self.device.map(window.map_err(|_| malformed())?)
    }

    /// Returns the reply to a request for the configuration, which has the length of the request.
    fn read_config(&self, message: &Message) -> Result<Message, VdpaError> {
        let (header, bytes): (ConfigHeader, _) = message.body_and_rest().map_err(|_| VdpaError::Message)?;
        let mut config = vec![0; bytes.len()];
        self.device.read_config(header.offset, &mut config)?;
        Ok(message.reply(&[header.as_bytes(), &config].concat()[..]))
    }

    fn write_config(&self, message: &Message) -> Result<(), VdpaError> {
        let (header, bytes): (ConfigHeader, _) = message.body_and_rest().map_err(|_| VdpaError::Message)?;
        self.device.write_config(header.offset, bytes)
    }

    /// Returns the number of queues as vhost-user reports it, for network devices in pairs.
    fn queue_count(&self) -> u64 {
        let facts = self.device.facts();
        u64::from(facts.queues) / facts.device_type.queues_per_unit()
    }
}

/// Returns the reply to a request: 0 for success, and 1 if the device refuses the request, because
/// the device can still be used. Passes on all other errors.
fn reply_code(outcome: Result<(), VdpaError>) -> Result<u64, VdpaError> {
    match outcome {
        Ok(()) => Ok(0),
        Err(error @ VdpaError::Request { .. }) => {
            tracing::debug!("the vDPA device refuses a request: {}", ErrorChain(&error));
            Ok(1)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn channels() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::new(a.into()), Channel::new(b.into()))
    }

    #[test]
    fn a_configuration_that_the_device_refuses_is_answered_with_an_error() {
        let (mut device, (own, mut peer)) = (Device::refusing(), channels());
        let mut backend = Backend::new(&mut device, own);
        let header = ConfigHeader { offset: 0, size: 1, flags: 0 };
        let payload = [header.as_bytes(), &[7]].concat();
        let message = Message::request(Request::SetConfig, &payload[..]);
        backend.answer(message.needing_reply()).unwrap();
        assert_eq!(peer.receive().unwrap().unwrap().body(), Ok(1u64));
        backend.answer(Message::request(Request::SetConfig, &payload[..])).unwrap();
        assert!(peer.receive().unwrap().is_none());
    }

    #[test]
    fn changes_are_told_to_a_slow_control_plane_and_not_to_an_absent_one() {
        let (mut device, (own, _peer)) = (Device::refusing(), channels());
        let mut backend = Backend::new(&mut device, own);
        let (requests, mut receiver) = channels();
        backend.requests = Some(requests);
        let told = |backend: &Backend<'_>| backend.requests.as_ref().map(Channel::is_readable);
        (0..10_000).for_each(|_| backend.tell_change());
        assert_eq!(told(&backend), Some(false));
        let mut received = 0;
        while receiver.receive().unwrap().is_some() {
            received += 1;
        }
        assert!((1..10_000).contains(&received), "{received}");
        backend.tell_change();
        assert!(receiver.receive().unwrap().is_some());
        drop(receiver);
        backend.tell_change();
        assert_eq!(told(&backend), None);
    }
}
