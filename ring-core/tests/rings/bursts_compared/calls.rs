//! The calls for each buffer, in bursts and as plain calls.

use ring_core::burst::{DeviceBurst, DriverBurst};
use ring_core::memory::RawMemory;
use ring_core::{Chain, PopError, Segment, Token, device, driver};
use support::{HeapDeviceQueue, HeapDriverQueue};

/// The calls that are made for each buffer, at both ends of a queue.
pub(crate) trait Calls {
    fn add(
        &mut self,
        table: Option<Segment>,
        readable: &[Segment],
        writable: &[Segment],
        cookie: u32,
    ) -> String;
    fn reap(&mut self) -> String;
    fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError>;
    fn complete(&mut self, token: Token, written: u32) -> String;
    fn serve(
        &mut self,
        segments: &mut [Segment],
        limit: usize,
        work: impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Result<usize, PopError>;
}

/// Does what `serve` does, with plain calls.
fn serve(
    device: &mut HeapDeviceQueue<RawMemory<'_>>,
    segments: &mut [Segment],
    limit: usize,
    mut work: impl FnMut(&[Segment], &[Segment]) -> u32,
) -> Result<usize, PopError> {
    // `serve` needs no storage for a chain of one segment.
    let mut only = [Segment::default()];
    let segments = if segments.is_empty() { &mut only } else { segments };
    for served in 0..limit {
        let Some(chain) = device.pop(segments)? else { return Ok(served) };
        let written = work(chain.readable(), chain.writable());
        let token = chain.into_token();
        let written = written.min(token.writable());
        device.complete(token, written).unwrap();
    }
    Ok(limit)
}

/// Both ends, which make the calls.
pub(crate) struct Ends<D, V>(pub(crate) D, pub(crate) V);

/// Implements [`Calls`] for the queues or for their bursts.
macro_rules! calls {
    ($driver:ty, $device:ty, $serve:path) => {
        impl Calls for Ends<$driver, $device> {
            fn add(
                &mut self,
                table: Option<Segment>,
                readable: &[Segment],
                writable: &[Segment],
                cookie: u32,
            ) -> String {
                let added = match table {
                    Some(table) => self.0.add_indirect(table, readable, writable, cookie),
                    None => self.0.add(readable, writable, cookie),
                };
                format!("{added:?}")
            }

            fn reap(&mut self) -> String {
                format!("{:?}", self.0.reap())
            }

            fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
                self.1.pop(segments)
            }

            fn complete(&mut self, token: Token, written: u32) -> String {
                format!("{:?}", self.1.complete(token, written))
            }

            fn serve(
                &mut self,
                segments: &mut [Segment],
                limit: usize,
                work: impl FnMut(&[Segment], &[Segment]) -> u32,
            ) -> Result<usize, PopError> {
                $serve(&mut self.1, segments, limit, work)
            }
        }
    };
}

calls!(&mut HeapDriverQueue<RawMemory<'_>, u32>, &mut HeapDeviceQueue<RawMemory<'_>>, serve);
calls!(
    DriverBurst<'_, RawMemory<'_>, Vec<driver::Slot<u32>>, u32>,
    DeviceBurst<'_, RawMemory<'_>, Vec<device::Slot>>,
    DeviceBurst::serve
);
