//! The operations of the driver.

use ring_core::error::AddErrorKind;
use ring_core::{Arm, Features, Segment};
use support::BUFFERS;

use super::{Buffer, Rig};

/// Room for the table of one buffer.
const TABLE_BYTES: u32 = 16 * 9;

impl Rig<'_> {
    pub(super) fn add(&mut self, readable: u8, writable: u8, indirect: bool) {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        // All segments differ.
        let segment = |at: u8| Segment::new((cookie << 16) + 16 * u64::from(at), 1 + u32::from(at) * 3 % 8);
        let buffer = Buffer {
            cookie,
            readable: (0..readable).map(segment).collect(),
            writable: (readable..readable + writable).map(segment).collect(),
            table: indirect.then(|| self.unused_table()),
        };
        let refused = self.refusal(&buffer);
        let result = match buffer.table {
            None => self.driver.add(&buffer.readable, &buffer.writable, cookie),
            Some(table) => {
                let table = Segment::new(table, TABLE_BYTES);
                self.driver.add_indirect(table, &buffer.readable, &buffer.writable, cookie)
            }
        };
        assert_eq!(
            result.map_err(|error| (error.kind, error.cookie)).err(),
            refused.map(|kind| (kind, cookie))
        );
        if refused.is_none() {
            self.lists.staged.push_back(buffer);
        }
    }

    /// Returns the reason why a buffer cannot be added now.
    fn refusal(&self, buffer: &Buffer) -> Option<AddErrorKind> {
        let (size, free, segments) = (self.setup.size, self.driver.free(), buffer.segments());
        let needed = u16::try_from(buffer.count()).expect("a buffer has a few segments");
        if segments == 0 {
            Some(AddErrorKind::Empty)
        } else if segments > size.into() && !(self.is(Features::RING_PACKED) && buffer.table.is_some()) {
            Some(AddErrorKind::TooLong { segments, size })
        } else if buffer.table.is_some() && !self.is(Features::INDIRECT_DESC) {
            Some(AddErrorKind::IndirectNotNegotiated)
        } else if needed > free {
            Some(AddErrorKind::Full { free, needed })
        } else {
            None
        }
    }

    /// Returns the address of memory for a table that no buffer in flight uses.
    fn unused_table(&self) -> u64 {
        let used: Vec<u64> = self.lists.in_flight().filter_map(|buffer| buffer.table).collect();
        // The odd address shows that a table needs no alignment.
        let mut tables = (BUFFERS + 1..).step_by(TABLE_BYTES as usize);
        tables.find(|table| !used.contains(table)).expect("the range has no end")
    }

    pub(super) fn publish_available(&mut self) {
        let answer = self.driver.publish();
        self.make_available();
        self.available.decide(&mut self.device_side, answer);
    }

    pub(super) fn publish_available_silently(&mut self) {
        self.driver.publish_silently();
        self.make_available();
    }

    fn make_available(&mut self) {
        while let Some(buffer) = self.lists.staged.pop_front() {
            self.available.published += self.steps(&buffer);
            self.lists.available.push_back(buffer);
        }
    }

    pub(super) fn reap(&mut self) {
        let reaped = self.driver.reap().expect("the device follows the rules");
        let expected = self.lists.used.pop_front();
        assert_eq!(
            reaped.map(|used| (used.cookie, used.written)),
            expected.as_ref().map(|(buffer, written)| (buffer.cookie, *written))
        );
        if let Some((buffer, _)) = expected {
            self.used.taken += self.steps(&buffer);
            self.driver_side.wake();
        }
    }

    pub(super) fn arm_driver(&mut self) {
        let arm = self.driver.arm();
        assert_eq!(arm == Arm::Unpublished, !self.lists.staged.is_empty());
        if arm == Arm::Unpublished {
            return;
        }
        let empty = self.lists.used.is_empty();
        assert_eq!(arm == Arm::Armed, empty);
        self.driver_side.arm(self.used.taken, empty);
    }

    pub(super) fn suspend_driver(&mut self) {
        let (stands, answer) = self.driver.suspend();
        self.make_available();
        self.available.decide(&mut self.device_side, answer);
        assert_eq!(stands, self.position(self.available.published, self.used.taken));

        let refused = self.driver.add(&[Segment::new(0, 1)], &[], 0).map_err(|error| error.kind);
        assert_eq!(refused, Err(AddErrorKind::NotRunning));
        assert_eq!(self.driver.reap(), Ok(None));
        assert!(!self.driver.publish().is_needed());

        self.driver.resume();
        self.available.resume();
        self.driver_side.resume();
    }
}
