//! Memory for tests whose segments are arbitrary numbers.

use ring_core::Segment;
use ring_core::memory::{AccessError, Memory, Table};

/// A memory that lends every segment and table: the device is in this program, and accesses no
/// segment.
#[derive(Clone, Debug)]
pub struct Anywhere<M>(pub M);

impl<M: Memory> Memory for Anywhere<M> {
    type Area = M::Area;

    fn area(&self, address: u64, len: usize) -> Result<M::Area, AccessError> {
        self.0.area(address, len)
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.0.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.0.write_bytes(address, from)
    }

    fn table(&self, table: Segment) -> Option<impl Table> {
        self.0.table(table)
    }

    fn lend(&self, _: Segment) -> Result<(), AccessError> {
        Ok(())
    }

    fn lend_table(&self, _: Segment) -> Result<(), AccessError> {
        Ok(())
    }

    fn fence(&self) {
        self.0.fence();
    }
}
