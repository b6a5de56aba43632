//! How many requests move in one round.

use std::time::Instant;

use isolation_host::area::Area;
use isolation_host::area::policy::Policy;
use isolation_host::device_type::DeviceType;
use isolation_host::forward::{DeviceRing, ForwardedQueue};
use isolation_host::guest_memory::GuestMemory;
use isolation_host::mmap::Window;
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};

const SIZE: u16 = 1024;
const MEMORY: u64 = 1 << 16;
/// The size of the area, which has room for fewer buffers than the guest has.
const AREA: u64 = 3 << 19;
/// The buffer that the guest uses for every request.
const BUFFER: Segment = Segment::new(0x8000, 4096);

#[test]
fn a_device_that_fills_all_buffers_gets_as_many_after_one_round() {
    let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, MEMORY).unwrap();
    let memory = GuestMemory::default();
    memory.add(Window::map(&file, 0, MEMORY, 0).unwrap(), 0).unwrap();
    let features = Features::VERSION_1;
    let setup = Setup::new(SIZE, features, Areas { descriptor: 0, driver: 0x4000, device: 0x5000 });
    let slots: Vec<_> = (0..SIZE).map(|_| driver::Slot::EMPTY).collect();
    let mut guest = DriverQueue::new(memory.clone(), &setup, slots).unwrap();
    let mut forwarded = ForwardedQueue::new(memory, &setup, 0, DeviceType::Net, None).unwrap();
    let area = Area::new(AREA, 1).unwrap();
    let share = area.share(0, SIZE, features).unwrap();
    let slots = vec![device::Slot::EMPTY; SIZE.into()];
    let mut card = DeviceQueue::new(area.window().clone(), &share.setup, slots).unwrap();
    forwarded.attach(DeviceRing::new(area.window().clone(), share, Policy::default(), None).unwrap());

    for number in 0..SIZE {
        guest.add(&[], &[BUFFER], number).unwrap();
    }
    let _ = guest.publish();
    while forwarded.run(Instant::now()).unwrap().again {}
    let room = forwarded.in_flight();
    assert!((128..usize::from(SIZE) / 2).contains(&room), "{room} buffers");

    let mut segments = [Segment::default(); 1];
    let mut filled = 0;
    while let Some(chain) = card.pop(&mut segments).unwrap() {
        card.complete(chain.into_token(), 64).unwrap();
        filled += 1;
    }
    let _ = card.publish();
    forwarded.run(Instant::now()).unwrap();
    assert_eq!(forwarded.in_flight(), room);
    let again = std::iter::from_fn(|| card.pop(&mut segments).unwrap().map(drop)).count();
    assert!(again >= filled, "{again} after {filled}");
}
