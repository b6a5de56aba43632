//! A device of ring-core that copies the readable bytes to the writable segments.

use ring_core::memory::Memory;
use ring_core::{Arm, Features, Reader, Segment, Writer, device, split};

use super::queues::{LONGEST_CHAIN, SendMemory};
use crate::arena::Arena;
use crate::case::Case;
use crate::ends::DeviceEnd;
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::payload::BYTES;
use crate::stub;
use crate::tally::Seen;

/// The device of a split queue on the memory that the function returns.
#[derive(Debug)]
pub struct Payload<M>(pub fn(&Arena) -> M);

impl<M: SendMemory> Implementation for Payload<M> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let (Case::Payload(_), Self(memory)) = (case, self) else { return None };
        let fixture = Fixture::new(case, Features::empty());
        let slots = vec![device::Slot::EMPTY; fixture.setup.size.into()];
        let queue = split::DeviceQueue::new(memory(&fixture.arena), &fixture.setup, slots);
        let queue = queue.expect("the arena has room for the queue");
        let device = Device { memory: memory(&fixture.arena), queue, buffer: [0; BYTES] };
        let driver = stub::split::Driver::new(&fixture);
        Some(Pair::boxed(fixture, driver, device))
    }
}

struct Device<M: Memory> {
    memory: M,
    queue: split::DeviceQueue<M, Vec<device::Slot>>,
    buffer: [u8; BYTES],
}

impl<M: Memory> DeviceEnd for Device<M> {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let mut segments = [Segment::default(); LONGEST_CHAIN];
        for _ in 0..limit {
            let popped = self.queue.pop(&mut segments).expect("the driver follows the rules");
            let Some(chain) = popped else { break };
            seen.segments(chain.readable(), chain.writable());
            let mut reader = Reader::new(&self.memory, chain.readable());
            reader.read(&mut self.buffer).expect("the chain has as many readable bytes");
            let mut writer = Writer::new(&self.memory, chain.writable());
            writer.write(&self.buffer).expect("the chain has as many writable bytes");
            let token = chain.into_token();
            let written = token.writable();
            self.queue.complete(token, written).expect("the token is fresh");
            self.queue.publish_silently();
            seen.chains += 1;
        }
        seen
    }

    fn decide(&mut self) -> bool {
        self.queue.publish().is_needed()
    }

    fn arm(&mut self) -> bool {
        self.queue.arm() == Arm::Armed
    }
}
