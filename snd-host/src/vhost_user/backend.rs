//! The interface of the device to `vhost-user-backend`.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use ring_core::Features;
use tracing::{debug, error};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_ring::{Queues, Vring};
use vhost_user_backend::VhostUserBackendMut;
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use zerocopy::IntoBytes;

use super::device::Device;
use crate::audio::HostAudio;
use crate::card::Topology;
use crate::limits::MAX_QUEUE_SIZE;
use crate::options::RingFormat;
use crate::realtime::RealTime;
use crate::spec::{FEATURE_CTLS, QUEUES};

/// The back-end of a session.
#[derive(Debug)]
pub(crate) struct Backend {
    device: Device,
    topology: Topology,
    format: RingFormat,
    /// The negotiated features.
    features: Features,
    /// Whether the session has ended.
    ended: bool,
    /// The priority that the thread of the event loop still has to get.
    realtime: Option<RealTime>,
}

impl Backend {
    pub(crate) fn new(audio: Arc<HostAudio>, topology: Topology, format: RingFormat) -> io::Result<Self> {
        let realtime = Some(audio.realtime());
        let device = Device::new(audio, topology)?;
        Ok(Self { device, topology, format, features: Features::empty(), ended: false, realtime })
    }

    pub(crate) const fn device(&self) -> &Device {
        &self.device
    }

    /// Ends the session and its event loop. Guest memory is not accessed any more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.device.end();
    }

    /// Returns whether the negotiated ring format is allowed by the command line.
    fn may_serve(&self) -> bool {
        self.format != RingFormat::Packed || self.features.contains(Features::RING_PACKED)
    }

    /// Returns the ring features on offer.
    ///
    /// `VIRTIO_F_IN_ORDER` is not offered: streams with different paces share a queue.
    fn ring_features(&self) -> Features {
        let all = Queues::<()>::offered();
        match self.format {
            RingFormat::Auto | RingFormat::Packed => all,
            RingFormat::Split => all - Features::RING_PACKED,
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
        self.ring_features().bits() | controls | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn acked_features(&mut self, features: u64) {
        self.features = Features::from_bits_retain(features);
        debug!(features = ?self.features, "features negotiated");
        if !self.may_serve() {
            error!("the driver does not support packed rings: it has no sound; use --ring auto");
        }
        self.device.set_features(features);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
    }

    fn reset_device(&mut self) {
        debug!("device reset");
        self.device.reset();
    }

    fn set_event_idx(&mut self, _enabled: bool) {
        // `acked_features` has the same information.
    }

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.topology.config();
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        range
            .and_then(|(offset, size)| config.as_bytes().get(offset..offset.checked_add(size)?))
            .unwrap_or_default()
            .to_vec()
    }

    /// Ignores the write, because the configuration is read-only.
    ///
    /// An error would make `vhost-user-backend` end the session, and any guest can write.
    fn set_config(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        debug!(offset, len = bytes.len(), "write to the read-only configuration ignored");
        Ok(())
    }

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        Ok(self.device.set_memory(&memory, Instant::now())?)
    }

    fn stop_vring(&mut self, index: u32) -> io::Result<()> {
        debug!(index, "queue stopped");
        if let Ok(index) = usize::try_from(index) {
            self.device.stop(index, Instant::now());
        }
        Ok(())
    }

    /// Serves the device.
    ///
    /// Returns an error only after the session has ended, in order to end the event loop.
    fn handle_event(
        &mut self,
        _event: u16,
        _events: EventSet,
        vrings: &[Vring],
        _thread: usize,
    ) -> io::Result<()> {
        if self.ended {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if let Some(realtime) = self.realtime.take() {
            realtime.enter();
        }
        if self.may_serve() {
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
    use crate::audio::HostAudioConfig;
    use crate::options::Streams;

    #[test]
    fn queues_are_not_served_after_the_end_of_a_session() {
        let latency = Duration::from_millis(40);
        let audio = HostAudio::silent(HostAudioConfig { latency, has_source: true });
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
        assert!(backend.handle_event(0, EventSet::IN, &vrings, 0).is_ok());
        assert!(backend.device.runs());
        backend.end();
        assert!(backend.handle_event(0, EventSet::IN, &vrings, 0).is_err());
        assert!(!backend.device.runs());
    }
}
