//! Shared memory whose every access loom sees, and which can leave out an ordering.

// UNSAFETY: loom's cells are read and written through pointers, and are not `Sync` by themselves.
#![expect(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as StdOrdering};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use ring_core::memory::{AccessError, Area, AreaRings, AreaWalk, Load, Memory, Store, Word};
use ring_core::{Areas, Features, QueueSize, Segment, Setup, packed, split};

/// How the 64-bit words are accessed that publish packed descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// In one access.
    Whole,
    /// In two accesses of 32 bits, as on a target without 64-bit atomics. The upper half publishes.
    Halves,
}

/// One word of shared memory, by its role.
enum Cell {
    /// Another word publishes this word: loom reports racing accesses.
    Plain(Plain),
    /// A publication point of 16 bits: an index, flags or an event of a split queue.
    Index(AtomicU16),
    /// A publication point of 32 bits: an event suppression structure of a packed queue.
    Event(AtomicU32),
    /// A publication point of 64 bits: length, id and flags of a packed descriptor.
    Control(AtomicU64),
    /// The same in halves.
    Halves { lower: AtomicU32, upper: AtomicU32 },
}

struct Plain(UnsafeCell<u64>);

// SAFETY: loom runs one thread at a time, and fails the model when two accesses to a cell are not
// ordered by happens-before.
unsafe impl Sync for Plain {}
// SAFETY: the content is a number.
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

/// The ordering that one end leaves out. Each is at exactly one place in the code of each end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakened {
    /// The Acquire of the load that finds what the other side has published.
    Acquire,
    /// The Release of the store that publishes.
    Release,
    /// The fence between the publication and the load of the other side's suppression.
    FenceInPublish,
    /// The fence between the store of the own suppression and the load of the publication.
    FenceInArm,
    /// The order in which the halves of a word are loaded. Only with [`Words::Halves`].
    UpperHalfFirst,
}

impl Weakened {
    /// The orderings that are needed on every target.
    pub(crate) const ALL: [Self; 4] = [Self::Acquire, Self::Release, Self::FenceInPublish, Self::FenceInArm];
}

/// The view that one side has of the shared memory of one queue.
#[derive(Clone)]
pub(crate) struct LoomMemory {
    cells: Arc<BTreeMap<u64, Cell>>,
    weakened: Option<Weakened>,
    /// Whether the last store was a Release, which publishes.
    published: Arc<AtomicBool>,
}

impl fmt::Debug for LoomMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoomMemory").field("weakened", &self.weakened).finish_non_exhaustive()
    }
}

/// The address of 16 words for the contents of a model's buffers.
pub(crate) const PAYLOAD: u64 = 0x4000;

impl LoomMemory {
    /// Returns the configuration of a queue of `size` in this memory.
    pub(crate) const fn setup(size: u16, features: Features) -> Setup {
        Setup::new(size, features, Areas { descriptor: 0x1000, driver: 0x2000, device: 0x3000 })
    }

    /// Returns the memory of a queue of `size`.
    pub(crate) fn new(size: u16, features: Features, words: Words) -> Self {
        let areas = Self::setup(size, features).areas;
        let mut cells = if features.contains(Features::RING_PACKED) {
            packed_cells(size, areas, words)
        } else {
            split_cells(size, areas)
        };
        cells.extend((0..16).map(|word| (PAYLOAD + 8 * word, plain())));
        let published = Arc::new(AtomicBool::new(false));
        Self { cells: Arc::new(cells), weakened: None, published }
    }

    /// Returns the view of one side, which leaves out the given ordering.
    pub(crate) fn side(&self, weakened: Option<Weakened>) -> Self {
        Self { cells: self.cells.clone(), weakened, published: Arc::new(AtomicBool::new(false)) }
    }

    fn leaves_out(&self, weakened: Weakened) -> bool {
        self.weakened == Some(weakened)
    }

    fn cell(&self, address: u64) -> &Cell {
        self.cells.get(&address).unwrap_or_else(|| panic!("no word begins at {address:#x}"))
    }

    fn plain(&self, address: u64) -> &Plain {
        let Cell::Plain(plain) = self.cell(address) else {
            panic!("{address:#x} is a publication point, and is accessed as a published word")
        };
        plain
    }
}

fn plain() -> Cell {
    Cell::Plain(Plain(UnsafeCell::new(0)))
}

fn packed_cells(size: u16, Areas { descriptor, driver, device }: Areas, words: Words) -> BTreeMap<u64, Cell> {
    let layout = packed::layout(QueueSize::packed(size).unwrap());
    assert_eq!(layout.descriptor.size, 16 * usize::from(size));
    let mut cells = BTreeMap::new();
    for slot in 0..u64::from(size) {
        let control = match words {
            Words::Whole => Cell::Control(AtomicU64::new(0)),
            Words::Halves => Cell::Halves { lower: AtomicU32::new(0), upper: AtomicU32::new(0) },
        };
        cells.insert(descriptor + 16 * slot, plain());
        cells.insert(descriptor + 16 * slot + 8, control);
    }
    cells.insert(driver, Cell::Event(AtomicU32::new(0)));
    cells.insert(device, Cell::Event(AtomicU32::new(0)));
    cells
}

fn split_cells(size: u16, Areas { descriptor, driver, device }: Areas) -> BTreeMap<u64, Cell> {
    let layout = split::layout(QueueSize::split(size).unwrap());
    let n = u64::from(size);
    let (used_event, available_event) = (layout.driver.size as u64 - 2, layout.device.size as u64 - 2);
    let index = || Cell::Index(AtomicU16::new(0));
    let mut cells = BTreeMap::new();
    cells.extend((0..2 * n).map(|word| (descriptor + 8 * word, plain())));
    cells.extend([0, 2, used_event].map(|field| (driver + field, index())));
    cells.extend((0..n).map(|slot| (driver + 4 + 2 * slot, plain())));
    cells.extend([0, 2, available_event].map(|field| (device + field, index())));
    cells.extend((0..2 * n).map(|word| (device + 4 + 4 * word, plain())));
    cells
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

    fn lend(&self, _: Segment) -> Result<(), AccessError> {
        // The device is a thread of the model.
        Ok(())
    }

    fn fence(&self) {
        let place = if self.published.load(StdOrdering::Relaxed) {
            Weakened::FenceInPublish
        } else {
            Weakened::FenceInArm
        };
        if !self.leaves_out(place) {
            fence(Ordering::SeqCst);
        }
    }
}

/// A range of a [`LoomMemory`].
#[derive(Clone, Debug)]
pub(crate) struct LoomArea {
    memory: LoomMemory,
    start: u64,
}

fn word<W: Word>(value: impl Into<u64>) -> W {
    let Ok(word) = W::try_from(value.into()) else { panic!("the access is narrower than the word") };
    word
}

impl Area for LoomArea {
    type Rings = AreaRings<Self>;
    type Walk = AreaWalk<Self>;

    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings {
        AreaRings::new(areas, size)
    }

    fn walk(&self, size: u16, slot: u16) -> Self::Walk {
        AreaWalk::new(self, size, slot)
    }

    fn read<W: Word>(&self, offset: usize) -> W {
        word(self.memory.plain(self.start + offset as u64).get())
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        self.memory.plain(self.start + offset as u64).set(value.into());
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        let order = match order {
            Load::Acquire if !self.memory.leaves_out(Weakened::Acquire) => Ordering::Acquire,
            Load::Acquire | Load::Relaxed => Ordering::Relaxed,
        };
        match self.memory.cell(self.start + offset as u64) {
            Cell::Index(cell) => word(cell.load(order)),
            Cell::Event(cell) => word(cell.load(order)),
            Cell::Control(cell) => word(cell.load(order)),
            Cell::Halves { lower, upper } => {
                let load = |half: &AtomicU32, order| u64::from(half.load(order));
                let (lower, upper) = if self.memory.leaves_out(Weakened::UpperHalfFirst) {
                    (load(lower, Ordering::Relaxed), load(upper, order))
                } else {
                    let upper = load(upper, order);
                    (load(lower, Ordering::Relaxed), upper)
                };
                word(upper << 32 | lower)
            }
            Cell::Plain(_) => panic!("{offset:#x} is no publication point, and is accessed as one"),
        }
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.memory.published.store(order == Store::Release, StdOrdering::Relaxed);
        let order = match order {
            Store::Release if !self.memory.leaves_out(Weakened::Release) => Ordering::Release,
            Store::Release | Store::Relaxed => Ordering::Relaxed,
        };
        let value: u64 = value.into();
        match self.memory.cell(self.start + offset as u64) {
            Cell::Index(cell) => cell.store(value.try_into().unwrap(), order),
            Cell::Event(cell) => cell.store(value.try_into().unwrap(), order),
            Cell::Control(cell) => cell.store(value, order),
            Cell::Halves { lower, upper } => {
                lower.store(u32::try_from(value & 0xffff_ffff).unwrap(), Ordering::Relaxed);
                upper.store(u32::try_from(value >> 32).unwrap(), order);
            }
            Cell::Plain(_) => panic!("{offset:#x} is no publication point, and is accessed as one"),
        }
    }
}
