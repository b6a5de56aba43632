//! A virtio-entropy device (VIRTIO 1.4, 5.4 "Entropy Device"). Guest memory has to be shared:
//!
//!     cargo run -p vhost-ring --example entropy -- /tmp/rng /dev/urandom packed
//!     qemu-system-x86_64 … -chardev socket,id=c,path=/tmp/rng -device vhost-user-rng-pci,chardev=c

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex};

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_ring::ring_core::{Features, Segment};
use vhost_ring::{Queues, Vring};
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

struct Entropy {
    queues: Queues,
    features: Features,
    source: File,
}

impl VhostUserBackendMut for Entropy {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        1
    }
    fn max_queue_size(&self) -> usize {
        1024
    }

    fn features(&self) -> u64 {
        self.features.bits() | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }
    fn acked_features(&mut self, features: u64) {
        self.queues.set_features(features);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::REPLY_ACK
    }
    fn set_event_idx(&mut self, _enabled: bool) {}

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        Ok(self.queues.set_memory(&memory, |_, _| {})?)
    }
    fn stop_vring(&mut self, index: u32) -> io::Result<()> {
        self.queues.stop(index as usize, |_| {});
        Ok(())
    }

    fn handle_event(&mut self, _: u16, _: EventSet, vrings: &[Vring], _: usize) -> io::Result<()> {
        let Self { queues, source, .. } = self;
        queues.serve(vrings, &mut [Segment::default(); 64], |_, _, response| {
            let mut bytes = vec![0; response.remaining().min(4096) as usize];
            let _ = source.read_exact(&mut bytes).map(|()| response.write(&bytes));
        });
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [socket, source, format] = &arguments[..] else {
        return Err("usage: entropy SOCKET SOURCE split|packed".into());
    };
    let not = if format == "packed" { Features::empty() } else { Features::RING_PACKED };
    let (queues, source) = (Queues::new(1)?, File::open(source)?);
    let features = Queues::<()>::offered() - not;
    let waker = (queues.waker().as_raw_fd(), queues.wake_event());
    let device = Arc::new(Mutex::new(Entropy { queues, features, source }));
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let daemon = VhostUserDaemon::new("entropy".into(), device, memory);
    let mut daemon = daemon.map_err(|error| error.to_string())?;
    daemon.get_epoll_handlers()[0].register_listener(waker.0, EventSet::IN, waker.1)?;
    daemon.serve(socket).map_err(|error| error.to_string().into())
}
