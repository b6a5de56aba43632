//! isolation-host with an independent front-end: the front-end of the vhost crate.

mod support;

use std::os::fd::AsRawFd as _;

use isolation_host::mmap::Window;
use ring_core::memory::Memory as _;
use ring_core::{Areas, DriverQueue, Features, Segment, Setup, driver};
use support::Host;
use support::device::{Offer, TestDevice, serve_honestly};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost::vhost_user::{Frontend, VhostUserFrontend as _};
use vhost::{VhostBackend as _, VhostUserMemoryRegionInfo, VringConfigData};
use vmm_sys_util::eventfd::EventFd;

const SIZE: u64 = 1 << 20;
/// The address of the guest's memory in the VMM.
const USER: u64 = 0x1000_0000;
const QUEUE_SIZE: u16 = 16;
const AREAS: Areas = Areas { descriptor: 0, driver: 0x1000, device: 0x2000 };
/// `VIRTIO_F_RING_PACKED`.
const PACKED: u64 = 1 << 34;

type Queue = DriverQueue<Window, Vec<driver::Slot<()>>, ()>;

#[test]
fn the_front_end_of_the_vhost_crate_works_with_isolation_host() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let host = Host::start(directory, &[]);
    let mut frontend = Frontend::from_stream(host.connect(), 2);

    let features = negotiate(&mut frontend);
    let memory = share_memory(&frontend);
    let setup = Setup::new(QUEUE_SIZE, Features::from_bits_retain(features), AREAS);
    let slots = (0..QUEUE_SIZE).map(|_| driver::Slot::EMPTY).collect();
    let mut queue: Queue = DriverQueue::new(memory.clone(), &setup, slots).unwrap();
    let (kick, call) = start_queue(&mut frontend);

    memory.write_bytes(0x8000, b"question").unwrap();
    queue.add(&[Segment::new(0x8000, 8)], &[Segment::new(0x9000, 8)], ()).unwrap();
    assert!(queue.publish().is_needed());
    kick.write(1).unwrap();
    // The first notification may be spurious, because a queue that is resumed always notifies once.
    let used = loop {
        call.read().unwrap();
        if let Some(used) = queue.reap().unwrap() {
            break used;
        }
    };
    assert_eq!(used.written, 8);
    assert_eq!(frontend.get_vring_base(0).unwrap(), 1);
}

/// Negotiates all features that are offered, except packed queues. Returns the features.
fn negotiate(frontend: &mut Frontend) -> u64 {
    frontend.set_owner().unwrap();
    let features = frontend.get_features().unwrap();
    assert_ne!(features & PACKED, 0, "a guest may use packed queues although the device has none");
    let features = features & !PACKED;
    frontend.set_features(features).unwrap();
    let protocol = frontend.get_protocol_features().unwrap();
    assert!(protocol.contains(VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG));
    assert!(!protocol.contains(VhostUserProtocolFeatures::BACKEND_SEND_FD));
    frontend.set_protocol_features(protocol).unwrap();
    assert_eq!(frontend.get_queue_num().unwrap(), 2);
    assert_eq!(frontend.get_max_mem_slots().unwrap(), 509);
    features
}

/// Shares the guest's memory with isolation-host.
fn share_memory(frontend: &Frontend) -> Window {
    let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, SIZE).unwrap();
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: 0,
        memory_size: SIZE,
        userspace_addr: USER,
        mmap_offset: 0,
        mmap_handle: file.as_raw_fd(),
    };
    frontend.set_mem_table(&[region]).unwrap();
    Window::map(&file, 0, SIZE, 0).unwrap()
}

/// Starts queue 0. Returns the notifications of the device and of the driver.
fn start_queue(frontend: &mut Frontend) -> (EventFd, EventFd) {
    let (kick, call) = (EventFd::new(0).unwrap(), EventFd::new(0).unwrap());
    frontend.set_vring_num(0, QUEUE_SIZE).unwrap();
    let areas = VringConfigData {
        queue_max_size: QUEUE_SIZE,
        queue_size: QUEUE_SIZE,
        flags: 0,
        desc_table_addr: USER + AREAS.descriptor,
        used_ring_addr: USER + AREAS.device,
        avail_ring_addr: USER + AREAS.driver,
        log_addr: None,
    };
    frontend.set_vring_addr(0, &areas).unwrap();
    frontend.set_vring_base(0, 0).unwrap();
    frontend.set_vring_call(0, &call).unwrap();
    frontend.set_vring_kick(0, &kick).unwrap();
    frontend.set_vring_enable(0, true).unwrap();
    (kick, call)
}
