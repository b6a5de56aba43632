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

use crate::args::RingFormat;
use crate::audio::Audio;
use crate::device::Device;
use crate::layout::Layout;
use crate::spec::{FEATURE_CTLS, QUEUES};
use crate::vring::Vring;

/// The longest queue that a front-end may set up. QEMU takes 64.
pub(crate) const MAX_QUEUE_SIZE: usize = 1024;

/// The event that says that the session is over. Events up to the number of queues are taken.
pub(crate) const END_EVENT: u16 = 5;

/// The event of the device's own wakers.
pub(crate) const WAKE_EVENT: u16 = 6;

const _: () = assert!(END_EVENT as usize > QUEUES && WAKE_EVENT as usize > QUEUES);

/// The back-end of one session.
#[derive(Debug)]
pub(crate) struct Backend {
    device: Device,
    layout: Layout,
    format: RingFormat,
    /// What was negotiated.
    features: Features,
}

impl Backend {
    pub(crate) fn new(audio: Arc<Audio>, layout: Layout, format: RingFormat) -> io::Result<Self> {
        Ok(Self { device: Device::new(audio, layout)?, layout, format, features: Features::empty() })
    }

    pub(crate) const fn device(&self) -> &Device {
        &self.device
    }

    /// Ends the session: nothing is the guest's any more.
    pub(crate) fn end(&mut self) {
        self.device.reset();
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
        let controls = if self.layout.controls { FEATURE_CTLS } else { 0 };
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
        let config = self.layout.config();
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        range
            .and_then(|(offset, size)| config.as_bytes().get(offset..offset.checked_add(size)?))
            .unwrap_or_default()
            .to_vec()
    }

    fn set_config(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        debug!(offset, len = bytes.len(), "the configuration is read-only");
        Err(io::ErrorKind::Unsupported.into())
    }

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        self.device.set_memory(memory.memory().into_inner());
        Ok(())
    }

    fn stop_vring(&mut self, index: u32) -> io::Result<()> {
        debug!(index, "queue stopped");
        if let Ok(index) = usize::try_from(index) {
            self.device.stop(index);
        }
        Ok(())
    }

    /// Serves the device. The event loop ends for good when this returns an error, so it does so in one case
    /// only: when that is what is wanted.
    fn handle_event(
        &mut self,
        event: u16,
        _events: EventSet,
        vrings: &[Vring],
        _thread: usize,
    ) -> io::Result<()> {
        if event == END_EVENT {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.serves() {
            self.device.wake(vrings, Instant::now());
        }
        Ok(())
    }
}
