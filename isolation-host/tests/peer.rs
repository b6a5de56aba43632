//! An independent front-end, the vhost crate's, against isolation-host.

mod support;

use std::os::fd::AsRawFd as _;

use ring_core::memory::Memory as _;
use ring_core::{Areas, DriverQueue, Segment, Setup, driver};
use support::Host;
use support::device::{Offer, TestDevice, serve_honestly};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost::vhost_user::{Frontend, VhostUserFrontend as _};
use vhost::{VhostBackend as _, VhostUserMemoryRegionInfo, VringConfigData};
use vmm_sys_util::eventfd::EventFd;

const SIZE: u64 = 1 << 20;

#[test]
fn rust_vmms_front_end_gets_an_answer_through_isolation_host() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let host = Host::start(directory, &[]);
    let mut frontend = Frontend::from_stream(host.connect(), 2);

    frontend.set_owner().unwrap();
    let features = frontend.get_features().unwrap();
    let packed = 1 << 34;
    assert_ne!(features & packed, 0, "the device has split rings only, the guest has both");
    frontend.set_features(features & !packed).unwrap();
    let protocol = frontend.get_protocol_features().unwrap();
    assert!(protocol.contains(VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG));
    assert!(!protocol.contains(VhostUserProtocolFeatures::BACKEND_SEND_FD));
    frontend.set_protocol_features(protocol).unwrap();
    assert_eq!(frontend.get_queue_num().unwrap(), 2);
    assert_eq!(frontend.get_max_mem_slots().unwrap(), 509);

    let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, SIZE).unwrap();
    let memory = isolation_host::mmap::Window::map(&file, 0, SIZE, 0).unwrap();
    let user = 0x1000_0000;
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: 0,
        memory_size: SIZE,
        userspace_addr: user,
        mmap_offset: 0,
        mmap_handle: file.as_raw_fd(),
    };
    frontend.set_mem_table(&[region]).unwrap();

    let setup = Setup::new(
        16,
        ring_core::Features::from_bits_retain(features & !packed),
        Areas { descriptor: 0, driver: 0x1000, device: 0x2000 },
    );
    let slots = (0..16).map(|_| driver::Slot::EMPTY).collect::<Vec<_>>();
    let mut queue = DriverQueue::new(memory.clone(), &setup, slots).unwrap();
    let (kick, call) = (EventFd::new(0).unwrap(), EventFd::new(0).unwrap());
    frontend.set_vring_num(0, 16).unwrap();
    let areas = VringConfigData {
        queue_max_size: 16,
        queue_size: 16,
        flags: 0,
        desc_table_addr: user,
        used_ring_addr: user + 0x2000,
        avail_ring_addr: user + 0x1000,
        log_addr: None,
    };
    frontend.set_vring_addr(0, &areas).unwrap();
    frontend.set_vring_base(0, 0).unwrap();
    frontend.set_vring_call(0, &call).unwrap();
    frontend.set_vring_kick(0, &kick).unwrap();
    frontend.set_vring_enable(0, true).unwrap();

    memory.write_bytes(0x8000, b"question").unwrap();
    queue.add(&[Segment::new(0x8000, 8)], &[Segment::new(0x9000, 8)], ()).unwrap();
    assert!(queue.publish().is_needed());
    kick.write(1).unwrap();
    // The first notification may be about nothing: a queue that is resumed notifies once in any case.
    let used = loop {
        call.read().unwrap();
        if let Some(used) = queue.reap().unwrap() {
            break used;
        }
    };
    assert_eq!(used.written, 8);
    assert_eq!(frontend.get_vring_base(0).unwrap(), 1);
}
