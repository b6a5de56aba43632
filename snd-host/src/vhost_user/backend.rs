//! The device as `vhost-user-backend` sees it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use ring_core::Features;
use tracing::{debug, error};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::VhostUserBackendMut;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use zerocopy::IntoBytes;

use super::device::Device;
use super::vring::Vring;
use crate::audio::Audio;
use crate::card::Topology;
use crate::limits::MAX_QUEUE_SIZE;
use crate::options::RingFormat;
use crate::spec::{FEATURE_CTLS, QUEUES};

/// The event of the device's own wakers. Events up to the number of queues are taken.
pub(crate) const WAKE_EVENT: u16 = 5;

const _: () = assert!(WAKE_EVENT as usize > QUEUES);

/// The back-end of one session.
#[derive(Debug)]
pub(crate) struct Backend {
    device: Device,
    topology: Topology,
    format: RingFormat,
    /// What was negotiated.
    features: Features,
    /// Whether the session is over.
    over: bool,
}

impl Backend {
    pub(crate) fn new(audio: Arc<Audio>, topology: Topology, format: RingFormat) -> io::Result<Self> {
        let device = Device::new(audio, topology)?;
        Ok(Self { device, topology, format, features: Features::empty(), over: false })
    }

    pub(crate) const fn device(&self) -> &Device {
        &self.device
    }

    /// Ends the session, and its event loop: nothing is the guest's any more.
    pub(crate) fn end(&mut self) {
        self.over = true;
        self.device.end();
    }

    /// Whether what was negotiated is what the user wants.
    fn serves(&self) -> bool {
        self.format != RingFormat::Packed || self.features.contains(Features::RING_PACKED)
    }

    /// What is offered of the rings. Not to use buffers in order: those of several streams share a queue, and each
    /// stream has a pace of its own.
    fn virtio_features(&self) -> Features {
        let rings = Features::VERSION_1 | Features::EVENT_IDX | Features::INDIRECT_DESC;
        match self.format {
            RingFormat::Auto | RingFormat::Packed => rings | Features::RING_PACKED,
            RingFormat::Split => rings,
        }
    }
}

impl VhostUserBackendMut for Backend {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        let controls = if self.topology.controls { FEATURE_CTLS } else { 0 };
        self.virtio_features().bits() | controls | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn acked_features(&mut self, features: u64) {
        self.features = Features::from_bits_retain(features);
        debug!(features = ?self.features, "negotiated");
        if !self.serves() {
            error!("the driver does not take packed rings; --ring packed leaves it without sound");
        }
        self.device.set_features(self.features);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
    }

    fn reset_device(&mut self) {
        debug!("reset");
        self.device.reset();
    }

    fn set_event_idx(&mut self, _enabled: bool) {
        // One of the features that are acknowledged.
    }

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.topology.config();
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        range
            .and_then(|(offset, size)| config.as_bytes().get(offset..offset.checked_add(size)?))
            .unwrap_or_default()
            .to_vec()
    }

    /// Leaves everything as it is: the configuration is read-only. That is no error, because `vhost-user-backend`
    /// ends the session for one, and it is a guest that writes.
    fn set_config(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        debug!(offset, len = bytes.len(), "the configuration is read-only");
        Ok(())
    }

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        self.device.set_memory(memory.memory().into_inner(), Instant::now());
        Ok(())
    }

    fn stop_vring(&mut self, index: u32) -> io::Result<()> {
        debug!(index, "queue stopped");
        if let Ok(index) = usize::try_from(index) {
            self.device.stop(index, Instant::now());
        }
        Ok(())
    }

    /// Serves the device. The event loop ends for good when this returns an error, so it does so in one case
    /// only: when that is what is wanted.
    fn handle_event(
        &mut self,
        _event: u16,
        _events: EventSet,
        vrings: &[Vring],
        _thread: usize,
    ) -> io::Result<()> {
        if self.over {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.serves() {
            self.device.wake(vrings, Instant::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vhost_user_backend::VringT as _;

    use super::*;
    use crate::options::Streams;

    #[test]
    fn queues_that_are_left_running_when_a_session_ends_are_not_served() {
        let audio = Audio::new("fakesink", "audiotestsrc", Duration::from_millis(40)).unwrap();
        let topology = Topology { streams: Streams { outputs: 1, inputs: 1 }, controls: false };
        let mut backend = Backend::new(audio, topology, RingFormat::Split).unwrap();
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(vm_memory::GuestAddress(0), 1 << 16)]).unwrap();
        let memory = GuestMemoryAtomic::new(memory);
        backend.update_memory(memory.clone()).unwrap();
        let vring = Vring::new(memory, 64).unwrap();
        vring.set_queue_size(4);
        vring.set_queue_info(0, 0x1000, 0x2000).unwrap();
        vring.set_queue_ready(true);
        vring.set_enabled(true);
        let vrings = [vring];
        assert!(backend.handle_event(WAKE_EVENT, EventSet::IN, &vrings, 0).is_ok());
        assert!(backend.device.runs());
        backend.end();
        assert!(backend.handle_event(0, EventSet::IN, &vrings, 0).is_err());
        assert!(!backend.device.runs());
    }
}
