//! Shared memory whose every access loom sees, and which can be told to forget an ordering.

// UNSAFETY: loom's cells are read and written through pointers, and are not `Sync` by themselves.
#![expect(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as StdOrdering};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use ring_core::memory::{AccessError, Area, Load, Memory, Store, Word};
use ring_core::{Areas, Features, QueueSize, Setup, packed, split};

/// One word of shared memory, by what the rings use it for.
enum Cell {
    /// Published by something else: racing accesses are an error.
    Plain(Plain),
    /// A publication point.
    Half(AtomicU16),
    /// A publication point.
    Word(AtomicU32),
    /// A publication point.
    Double(AtomicU64),
}

struct Plain(UnsafeCell<u64>);

// SAFETY: loom runs one thread at a time, and fails the model when two accesses to a cell are not
// ordered by happens-before.
unsafe impl Sync for Plain {}
// SAFETY: a plain number.
unsafe impl Send for Plain {}

impl Plain {
    fn get(&self) -> u64 {
        // SAFETY: loom has just checked that no write is concurrent.
        self.0.with(|value| unsafe { *value })
    }

    fn set(&self, new: u64) {
        // SAFETY: loom has just checked that no other access is concurrent.
        self.0.with_mut(|value| unsafe { *value = new });
    }
}

/// The ordering that one end forgets: each is at exactly one place in each end's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakened {
    /// The Acquire with which it finds what the other side has published.
    Acquire,
    /// The Release with which it publishes.
    Release,
    /// The fence between publishing and looking at the other side's wish to be notified.
    FenceInPublish,
    /// The fence between asking to be notified and looking at what the other side has published.
    FenceInArm,
}

impl Weakened {
    pub(crate) const ALL: [Self; 4] = [Self::Acquire, Self::Release, Self::FenceInPublish, Self::FenceInArm];
}

/// One side's view of the shared memory of one queue.
#[derive(Clone)]
pub(crate) struct LoomMemory {
    cells: Arc<BTreeMap<u64, Cell>>,
    weakened: Option<Weakened>,
    /// Whether the last store was a Release, that is, published something.
    published: Arc<AtomicBool>,
}

impl fmt::Debug for LoomMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoomMemory").field("weakened", &self.weakened).finish_non_exhaustive()
    }
}

/// Where a model may put the contents of its buffers: 16 words.
pub(crate) const PAYLOAD: u64 = 0x4000;

impl LoomMemory {
    /// How to set up a queue of `size` in its memory.
    pub(crate) const fn setup(size: u16, features: Features) -> Setup {
        Setup::new(size, features, Areas { descriptor: 0x1000, driver: 0x2000, device: 0x3000 })
    }

    /// The memory of a queue of `size`.
    pub(crate) fn new(size: u16, features: Features) -> Self {
        let Areas { descriptor, driver, device } = Self::setup(size, features).areas;
        let n = u64::from(size);
        let plain = || Cell::Plain(Plain(UnsafeCell::new(0)));
        let half = || Cell::Half(AtomicU16::new(0));
        let mut cells = BTreeMap::new();
        if features.contains(Features::RING_PACKED) {
            let layout = packed::layout(QueueSize::packed(size).unwrap());
            assert_eq!(layout.descriptor.size as u64, 16 * n);
            for slot in 0..n {
                cells.insert(descriptor + 16 * slot, plain());
                cells.insert(descriptor + 16 * slot + 8, Cell::Double(AtomicU64::new(0)));
            }
            cells.insert(driver, Cell::Word(AtomicU32::new(0)));
            cells.insert(device, Cell::Word(AtomicU32::new(0)));
        } else {
            let layout = split::layout(QueueSize::split(size).unwrap());
            let (driver_end, device_end) = (layout.driver.size as u64 - 2, layout.device.size as u64 - 2);
            cells.extend((0..2 * n).map(|word| (descriptor + 8 * word, plain())));
            cells.extend([0, 2, driver_end].map(|field| (driver + field, half())));
            cells.extend((0..n).map(|slot| (driver + 4 + 2 * slot, plain())));
            cells.extend([0, 2, device_end].map(|field| (device + field, half())));
            cells.extend((0..2 * n).map(|word| (device + 4 + 4 * word, plain())));
        }
        cells.extend((0..16).map(|word| (PAYLOAD + 8 * word, plain())));
        let published = Arc::new(AtomicBool::new(false));
        Self { cells: Arc::new(cells), weakened: None, published }
    }

    /// The view of one side, which forgets the given ordering.
    pub(crate) fn side(&self, weakened: Option<Weakened>) -> Self {
        Self { cells: self.cells.clone(), weakened, published: Arc::new(AtomicBool::new(false)) }
    }

    fn forgets(&self, weakened: Weakened) -> bool {
        self.weakened == Some(weakened)
    }

    fn cell(&self, address: u64) -> &Cell {
        self.cells.get(&address).unwrap_or_else(|| panic!("no word begins at {address:#x}"))
    }

    fn plain(&self, address: u64) -> &Plain {
        let Cell::Plain(plain) = self.cell(address) else {
            panic!("{address:#x} is a publication point, but accessed as if it were published")
        };
        plain
    }
}

impl Memory for LoomMemory {
    type Area = LoomArea;

    fn area(&self, address: u64, _len: usize) -> Result<LoomArea, AccessError> {
        Ok(LoomArea { memory: self.clone(), start: address })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        for (at, word) in (address..).step_by(8).zip(into.chunks_mut(8)) {
            word.copy_from_slice(&self.plain(at).get().to_le_bytes());
        }
        Ok(())
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        for (at, word) in (address..).step_by(8).zip(from.chunks(8)) {
            self.plain(at).set(u64::from_le_bytes(word.try_into().unwrap()));
        }
        Ok(())
    }

    fn fence(&self) {
        let place = if self.published.load(StdOrdering::Relaxed) {
            Weakened::FenceInPublish
        } else {
            Weakened::FenceInArm
        };
        if !self.forgets(place) {
            fence(Ordering::SeqCst);
        }
    }
}

/// A part of a [`LoomMemory`].
#[derive(Debug)]
pub(crate) struct LoomArea {
    memory: LoomMemory,
    start: u64,
}

fn word<W: Word>(value: impl Into<u64>) -> W {
    let Ok(word) = W::try_from(value.into()) else { panic!("the access is narrower than the word") };
    word
}

impl Area for LoomArea {
    fn read<W: Word>(&self, offset: usize) -> W {
        word(self.memory.plain(self.start + offset as u64).get())
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        self.memory.plain(self.start + offset as u64).set(value.into());
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        let order = match order {
            Load::Acquire if !self.memory.forgets(Weakened::Acquire) => Ordering::Acquire,
            Load::Acquire | Load::Relaxed => Ordering::Relaxed,
        };
        match self.memory.cell(self.start + offset as u64) {
            Cell::Half(cell) => word(cell.load(order)),
            Cell::Word(cell) => word(cell.load(order)),
            Cell::Double(cell) => word(cell.load(order)),
            Cell::Plain(_) => panic!("{offset:#x} is no publication point, but accessed as one"),
        }
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.memory.published.store(order == Store::Release, StdOrdering::Relaxed);
        let order = match order {
            Store::Release if !self.memory.forgets(Weakened::Release) => Ordering::Release,
            Store::Release | Store::Relaxed => Ordering::Relaxed,
        };
        let value = value.into();
        match self.memory.cell(self.start + offset as u64) {
            Cell::Half(cell) => cell.store(value.try_into().unwrap(), order),
            Cell::Word(cell) => cell.store(value.try_into().unwrap(), order),
            Cell::Double(cell) => cell.store(value, order),
            Cell::Plain(_) => panic!("{offset:#x} is no publication point, but accessed as one"),
        }
    }
}
