//! The bytes of a control request.

use tracing::debug;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::answer::{Answer, STATUS_BYTES};
use crate::spec::{CtlHeader, CtlValue, QueryInfo, Status};

/// Size of the longest request in bytes. Further bytes of a request are ignored.
pub(crate) const MAX_REQUEST: usize = size_of::<CtlHeader>() + size_of::<CtlValue>();

/// The largest size of an item that a query may request, in bytes. All items are smaller.
const MAX_ITEM_BYTES: u32 = 256;

/// A control request, and the room for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlRequest<'b> {
    pub(crate) bytes: &'b [u8],
    /// Size of the buffer for the answer in bytes, at least [`STATUS_BYTES`].
    pub(crate) room: u64,
}

impl<'b> ControlRequest<'b> {
    /// Returns the code of the request; `None` if the request is too short.
    pub(super) fn code(self) -> Option<u32> {
        self.parse().map(u32::from_le_bytes)
    }

    /// Returns the structure at the start of the request; `None` if the request is too short.
    pub(super) fn parse<T: FromBytes>(self) -> Option<T> {
        T::read_from_prefix(self.bytes).ok().map(|(value, _)| value)
    }

    /// Returns the rest of the request after a header; `None` if the request is too short.
    pub(super) fn after<H>(self) -> Option<Self> {
        self.bytes.get(size_of::<H>()..).map(|bytes: &'b [u8]| Self { bytes, ..self })
    }

    /// Returns the items that a query selects, and the size of an item in the driver's version.
    ///
    /// Returns `None` if the range does not exist, or the answer does not fit (VIRTIO 1.4, 5.14.6.1
    /// "Item Information Request").
    pub(super) fn select<T>(self, items: &[T]) -> Option<(&[T], u32)> {
        let query: QueryInfo = self.parse()?;
        let (start, count, size) = (query.start_id.get(), query.count.get(), query.size.get());
        let end = usize::try_from(u64::from(start) + u64::from(count)).ok()?;
        let selected = items.get(usize::try_from(start).ok()?..end);
        let fits = STATUS_BYTES + u64::from(count) * u64::from(size) <= self.room && size <= MAX_ITEM_BYTES;
        if selected.is_none() || !fits {
            debug!(start, count, size, room = self.room, "query refused");
        }
        selected.filter(|_| fits).map(|selected| (selected, size))
    }

    /// Answers a query about `items`.
    ///
    /// Each item is padded with zeros, or truncated, to the size in the driver's version.
    pub(super) fn info<T: IntoBytes + Immutable>(self, items: &[T]) -> Answer {
        let Some((selected, size)) = self.select(items) else {
            return Status::BadMsg.into();
        };
        let padded = |item: &T| {
            let mut bytes = item.as_bytes().to_vec();
            bytes.resize(size as usize, 0);
            bytes
        };
        Answer { payload: selected.iter().flat_map(padded).collect(), ..Status::Ok.into() }
    }
}
