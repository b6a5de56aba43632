//! Bursts: `add`, `reap`, `pop` and `complete` on a guard, and `serve` for a device that answers a
//! request before it takes the next one.

use ring_core::memory::Memory;
use ring_core::{Arm, packed, split};

use super::queues::{Device, DeviceSlots, Driver, DriverSlots};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// Marks ends that use a burst for each batch. The device calls `pop` and `complete`.
#[derive(Debug)]
pub enum Burst {}

/// Marks ends that use a burst for each batch. The device calls `serve`.
#[derive(Debug)]
pub enum Serve {}

/// Implements the driver's end. Requests with indirect tables are added by the plain call, outside
/// bursts, because `add_indirect` of a burst only makes the plain call.
macro_rules! driver {
    ($style:ty, $($module:ident)::+) => {
        impl<M: Memory> DriverEnd for Driver<$style, $($module)::+::DriverQueue<M, DriverSlots, u16>> {
            #[inline(never)]
            fn submit(&mut self, mut requests: &[Request]) {
                while !requests.is_empty() {
                    while let [request, rest @ ..] = requests
                        && request.is_indirect()
                    {
                        let (readable, writable) = (request.readable(), request.writable());
                        let added = self.queue.add_indirect(request.table, readable, writable, request.cookie);
                        assert!(added.is_ok(), "a burst fits the queue");
                        requests = rest;
                    }
                    let mut burst = self.queue.burst();
                    while let [request, rest @ ..] = requests
                        && !request.is_indirect()
                    {
                        let added = burst.add(request.readable(), request.writable(), request.cookie);
                        assert!(added.is_ok(), "a burst fits the queue");
                        requests = rest;
                    }
                    burst.publish_silently();
                }
            }

            #[inline(never)]
            fn collect(&mut self, mut returned: Returned) -> Returned {
                let mut burst = self.queue.burst();
                loop {
                    let Ok(used) = burst.reap() else { panic!("the device follows the rules") };
                    let Some(used) = used else { break };
                    returned.add(used.cookie, used.written);
                }
                burst.publish_silently();
                returned
            }

            #[inline(always)]
            fn decide(&mut self) -> bool {
                self.queue.publish().is_needed()
            }
        }
    };
}

/// Implements the device's end, with the function that passes a burst of chains.
macro_rules! device {
    ($style:ty, $pass:ident, $($module:ident)::+) => {
        impl<M: Memory> DeviceEnd for Device<$style, $($module)::+::DeviceQueue<M, DeviceSlots>> {
            #[inline(never)]
            fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
                let mut burst = self.queue.burst();
                $pass!(burst, self.segments, limit, seen);
                burst.publish_silently();
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

macro_rules! pop_and_complete {
    ($burst:ident, $segments:expr, $limit:ident, $seen:ident) => {
        let end = $seen.chains + $limit;
        while $seen.chains < end {
            let Ok(popped) = $burst.pop(&mut $segments) else { panic!("the driver follows the rules") };
            let Some(chain) = popped else { break };
            $seen.segments(chain.readable(), chain.writable());
            let token = chain.into_token();
            let written = token.writable();
            let completed = $burst.complete(token, written);
            assert!(completed.is_ok(), "the token is fresh");
            $seen.chains += 1;
        }
    };
}

macro_rules! serve {
    ($burst:ident, $segments:expr, $limit:ident, $seen:ident) => {
        let served = $burst.serve(&mut $segments, $limit, |readable, writable| {
            $seen.segments(readable, writable);
            u32::MAX // all writable bytes
        });
        let Ok(served) = served else { panic!("the driver follows the rules") };
        $seen.chains += served;
    };
}

driver!(Burst, split);
driver!(Burst, packed);
driver!(Serve, split);
driver!(Serve, packed);
device!(Burst, pop_and_complete, split);
device!(Burst, pop_and_complete, packed);
device!(Serve, serve, split);
device!(Serve, serve, packed);
