//! Makes several calls of one end in one burst.

use ring_core::burst::DeviceBurst;
use ring_core::device::Slot;
use ring_core::{Notify, Segment, Token};

use super::device_guarantees::DeviceGuarantees;
use super::{Ends, table};
use crate::burst::{Burst, BurstEnd, DeviceCall, DriverCall};
use crate::{BUFFERS, Watched, segments};

impl Ends<'_> {
    /// Makes the calls of a burst. Returns the largest number of plain calls that the same work can
    /// take.
    pub(super) fn burst(&mut self, burst: Burst) -> usize {
        match burst {
            Burst::Driver { calls, end } => {
                self.drive(calls, end);
                calls.len()
            }
            Burst::Device { calls, end } => {
                self.serve(calls, end);
                calls.into_iter().flatten().map(DeviceCall::chains).sum::<usize>() + 1
            }
        }
    }

    fn drive(&mut self, calls: [Option<DriverCall>; 4], end: BurstEnd) {
        let checks = &mut self.driver_checks;
        let mut burst = self.driver.burst();
        for call in calls.into_iter().flatten() {
            match call {
                DriverCall::Add { readable, writable, indirect } => {
                    let [readable, writable] = [readable, writable]
                        .map(|count| segments(BUFFERS, count % (DriverCall::MOST_SEGMENTS + 1)));
                    let cookie = checks.cookie();
                    let added = if indirect {
                        burst.add_indirect(table(cookie), &readable, &writable, cookie)
                    } else {
                        burst.add(&readable, &writable, cookie)
                    };
                    checks.added(cookie, &writable, added);
                }
                DriverCall::Reap => checks.reaped(burst.reap()),
            }
        }
        match end {
            BurstEnd::Publish => {
                let answer = burst.publish();
                checks.published(answer);
            }
            BurstEnd::PublishSilently => {
                burst.publish_silently();
                checks.published(Notify::NotNeeded);
            }
            BurstEnd::Drop => drop(burst),
        }
        checks.in_flight(self.driver.in_flight());
    }

    fn serve(&mut self, calls: [Option<DeviceCall>; 4], end: BurstEnd) {
        let checks = &mut self.device_checks;
        let mut burst = self.device.burst();
        for call in calls.into_iter().flatten() {
            if let Some(token) = device_call(call, &mut burst, checks) {
                let serial = burst.record(&token).expect("the chain is in flight").serial;
                checks.keep(token, serial);
            }
        }
        match end {
            BurstEnd::Publish => {
                let answer = burst.publish();
                checks.published(answer);
            }
            BurstEnd::PublishSilently => {
                burst.publish_silently();
                checks.published(Notify::NotNeeded);
            }
            BurstEnd::Drop => drop(burst),
        }
    }
}

/// Makes a call. Returns the token of a chain that was taken and not completed.
fn device_call(
    call: DeviceCall,
    burst: &mut DeviceBurst<'_, Watched<'_>, Vec<Slot>>,
    checks: &mut DeviceGuarantees,
) -> Option<Token> {
    match call {
        DeviceCall::Pop { storage } => {
            let mut segments = storage_of(storage);
            let count = segments.len();
            checks.popped(count, burst.pop(&mut segments))
        }
        DeviceCall::Complete { which, written } => {
            let (token, written) = checks.choose(which, written)?;
            assert_eq!(burst.complete(token, written), Ok(()));
            checks.unpublished += 1;
            None
        }
        DeviceCall::Serve { storage, limit, written } => {
            let mut segments = storage_of(storage);
            // A chain of one segment needs no storage.
            let count = segments.len().max(1);
            let (mut passed, limit) = (0, usize::from(limit % 9));
            let served = burst.serve(&mut segments, limit, |readable, writable| {
                checks.took(count, readable, writable);
                checks.served();
                passed += 1;
                written.into()
            });
            assert!(passed <= limit, "{passed} chains, at most {limit} expected");
            match served {
                Ok(served) => {
                    assert_eq!(served, passed);
                    None
                }
                Err(error) => checks.refused(error),
            }
        }
    }
}

fn storage_of(storage: u8) -> Vec<Segment> {
    vec![Segment::default(); usize::from(storage % (Burst::MOST_STORAGE + 1))]
}
