//! The plain calls: `add`, `reap`, `pop` and `complete` on the queue itself.

use ring_core::memory::Memory;
use ring_core::{Arm, packed, split};

use super::queues::{Device, DeviceSlots, Driver, DriverSlots};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// Marks ends that are used through the plain calls, without bursts.
#[derive(Debug)]
pub enum Plain {}

/// Implements the ends of the suite for the ends of ring-core, which share no trait.
macro_rules! plain {
    ($($module:ident)::+) => {
        impl<M: Memory> DriverEnd for Driver<Plain, $($module)::+::DriverQueue<M, DriverSlots, u16>> {
            #[inline(never)]
            fn submit(&mut self, requests: &[Request]) {
                for request in requests {
                    let (readable, writable) = (request.readable(), request.writable());
                    let added = if request.is_indirect() {
                        self.queue.add_indirect(request.table, readable, writable, request.cookie)
                    } else {
                        self.queue.add(readable, writable, request.cookie)
                    };
                    assert!(added.is_ok(), "a burst fits the queue");
                }
                self.queue.publish_silently();
            }

            #[inline(never)]
            fn collect(&mut self, mut returned: Returned) -> Returned {
                loop {
                    let Ok(used) = self.queue.reap() else { panic!("the device follows the rules") };
                    let Some(used) = used else { return returned };
                    returned.add(used.cookie, used.written);
                }
            }

            #[inline(always)]
            fn decide(&mut self) -> bool {
                self.queue.publish().is_needed()
            }
        }

        impl<M: Memory> DeviceEnd for Device<Plain, $($module)::+::DeviceQueue<M, DeviceSlots>> {
            #[inline(never)]
            fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
                let end = seen.chains + limit;
                while seen.chains < end {
                    let Ok(popped) = self.queue.pop(&mut self.segments) else {
                        panic!("the driver follows the rules")
                    };
                    let Some(chain) = popped else { break };
                    seen.segments(chain.readable(), chain.writable());
                    let token = chain.into_token();
                    let written = token.writable();
                    let completed = self.queue.complete(token, written);
                    assert!(completed.is_ok(), "the token is fresh");
                    seen.chains += 1;
                }
                self.queue.publish_silently();
                seen
            }

            #[inline(always)]
            fn decide(&mut self) -> bool {
                self.queue.publish().is_needed()
            }

            #[inline(always)]
            fn arm(&mut self) -> bool {
                self.queue.arm() == Arm::Armed
            }
        }
    };
}

plain!(split);
plain!(packed);
plain!(ring_core);
