//! A device of ring-core that copies what it reads to where it may write.

use ring_core::memory::Memory;
use ring_core::{Arm, Features, Reader, Segment, Writer, device, split};

use super::ends::{LONGEST_CHAIN, SendMemory};
use crate::arena::Arena;
use crate::case::Case;
use crate::ends::{DeviceEnd, Seen};
use crate::fixture::Fixture;
use crate::pair::{Pair, Queue};
use crate::payload::BYTES;
use crate::stub;

/// Sets up the device on this memory, and a stub of a driver.
pub(super) fn connect<M: SendMemory>(case: Case, memory: fn(&Arena) -> M) -> Box<dyn Queue> {
    let fixture = Fixture::new(case, Features::empty());
    let slots = vec![device::Slot::EMPTY; fixture.setup.size.into()];
    let queue = split::DeviceQueue::new(memory(&fixture.arena), &fixture.setup, slots);
    let queue = queue.expect("the arena has room for the queue");
    let device = Device { memory: memory(&fixture.arena), queue, buffer: [0; BYTES] };
    let driver = stub::split::Driver::new(&fixture);
    Pair::boxed(fixture, driver, device)
}

struct Device<M: Memory> {
    memory: M,
    queue: split::DeviceQueue<M, Vec<device::Slot>>,
    buffer: [u8; BYTES],
}

impl<M: Memory> DeviceEnd for Device<M> {
    #[inline]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        let mut segments = [Segment::default(); LONGEST_CHAIN];
        for served in 0..limit {
            let popped = self.queue.pop(&mut segments).expect("the driver follows the rules");
            let Some(chain) = popped else { return served };
            chain.readable().iter().for_each(|&segment| seen.read(segment));
            chain.writable().iter().for_each(|&segment| seen.write(segment));
            let mut reader = Reader::new(&self.memory, chain.readable());
            reader.read(&mut self.buffer).expect("the chain has as many readable bytes");
            let mut writer = Writer::new(&self.memory, chain.writable());
            writer.write(&self.buffer).expect("the chain has as many writable bytes");
            let token = chain.into_token();
            let written = token.writable();
            self.queue.complete(token, written).expect("the token is fresh");
            self.queue.publish_silently();
        }
        limit
    }

    fn decide(&mut self) -> bool {
        self.queue.publish().is_needed()
    }

    fn arm(&mut self) -> bool {
        self.queue.arm() == Arm::Armed
    }
}
