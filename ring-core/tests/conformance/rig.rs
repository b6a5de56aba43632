//! A small queue in a page of its own. Both of its ends are watched, and its memory can be seen whole.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{
    Areas, DeviceQueue, DriverQueue, Features, Notify, PopError, Segment, Setup, Token, Violation, device,
    driver,
};

use crate::recorder::{Log, Recorder};

pub(crate) const SPLIT: Features = Features::empty();
pub(crate) const PACKED: Features = Features::RING_PACKED;
pub(crate) const EVENT_IDX: Features = Features::EVENT_IDX;
pub(crate) const INDIRECT: Features = Features::INDIRECT_DESC;
pub(crate) const IN_ORDER: Features = Features::IN_ORDER;

/// Where the areas of a queue of up to four descriptors begin. The descriptor area is at 0.
pub(crate) const DRIVER_AREA: u64 = 0x40;
pub(crate) const DEVICE_AREA: u64 = 0x50;
/// Where the rest of the page begins, for tables and payloads.
pub(crate) const SPARE: u64 = 0x80;
/// Words in a page; it ends at 0x100.
const PAGE_WORDS: usize = 0x20;

/// A descriptor of either format that nobody has written.
pub(crate) const NO_DESCRIPTOR: &str = "0000000000000000 00000000 0000 0000";
/// An event suppression structure that nobody has written.
pub(crate) const NO_EVENT: &str = "0000 0000";

/// Two segments for the device to read, and two for it to write. They are not in the page: the rings never
/// follow an address, but to an indirect table.
pub(crate) const READ_A: Segment = Segment::new(0x1000, 0x10);
pub(crate) const READ_B: Segment = Segment::new(0x2000, 0x20);
pub(crate) const WRITE_A: Segment = Segment::new(0x3000, 0x30);
pub(crate) const WRITE_B: Segment = Segment::new(0x4000, 0x40);

/// The memory of one queue.
#[derive(Default)]
pub(crate) struct Page([u64; PAGE_WORDS]);

pub(crate) type DriverEnd<'m> = DriverQueue<Recorder<'m>, Vec<driver::Slot<u32>>, u32>;
pub(crate) type DeviceEnd<'m> = DeviceQueue<Recorder<'m>, Vec<device::Slot>>;

impl Page {
    /// One that has held something else before.
    pub(crate) const fn filled(byte: u8) -> Self {
        Self([u64::from_ne_bytes([byte; 8]); PAGE_WORDS])
    }
}

/// Where a queue in a [`Page`] is.
pub(crate) const fn setup(size: u16, features: Features) -> Setup {
    Setup::new(size, features, Areas { descriptor: 0, driver: DRIVER_AREA, device: DEVICE_AREA })
}

fn names(address: u64) -> &'static str {
    match address {
        0 => "descriptor",
        DRIVER_AREA => "driver",
        DEVICE_AREA => "device",
        _ => "unknown",
    }
}

/// Both ends of a queue.
pub(crate) struct Queue<'m> {
    pub(crate) driver: DriverEnd<'m>,
    pub(crate) device: DeviceEnd<'m>,
    /// What the driver end did since the queue was set up.
    pub(crate) driver_log: Log,
    /// What the device end did since the queue was set up.
    pub(crate) device_log: Log,
    memory: RawMemory<'m>,
    setup: Setup,
}

impl<'m> Queue<'m> {
    pub(crate) fn new(page: &'m mut Page, size: u16, features: Features) -> Self {
        let memory = RawMemory::from_mut(&mut page.0, 0);
        let (driver_log, device_log) = (Log::default(), Log::default());
        let setup = setup(size, features);
        let slots = usize::from(size);
        let seen_by = |log: &Log| Recorder::new(memory.clone(), names, log.clone());
        let driver =
            DriverQueue::new(seen_by(&driver_log), &setup, vec![driver::Slot::EMPTY; slots]).unwrap();
        let device =
            DeviceQueue::new(seen_by(&device_log), &setup, vec![device::Slot::default(); slots]).unwrap();
        drop((driver_log.take(), device_log.take()));
        Self { driver, device, driver_log, device_log, memory, setup }
    }

    /// The page as bytes in hexadecimal, a space between any two fields: each descriptor, the driver area and
    /// the device area. What lies between the areas is untouched.
    pub(crate) fn picture(&self) -> Vec<String> {
        let packed = self.setup.features.contains(Features::RING_PACKED);
        let size = usize::from(self.setup.size);
        let (driver, device) = if packed {
            (vec![2, 2], vec![2, 2])
        } else {
            (vec![2; 3 + size], [vec![2, 2], [4, 4].repeat(size), vec![2]].concat())
        };
        let mut gaps = vec![];
        let mut lines = vec![];
        let mut at = 0;
        for (start, fields) in (0..size as u64)
            .map(|index| (16 * index, vec![8, 4, 2, 2]))
            .chain([(DRIVER_AREA, driver), (DEVICE_AREA, device)])
        {
            gaps.extend(self.bytes(at, start - at));
            lines.push(self.fields(start, &fields));
            at = start + fields.iter().sum::<u64>();
        }
        gaps.extend(self.bytes(at, SPARE - at));
        assert!(gaps.iter().all(|byte| *byte == 0), "something was written between the areas");
        lines
    }

    /// The bytes from `address` on, in fields of these sizes.
    pub(crate) fn fields(&self, address: u64, sizes: &[u64]) -> String {
        let mut at = address;
        let fields = sizes.iter().map(|&size| {
            at += size;
            self.bytes(at - size, size).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    /// `count` descriptors from `address` on.
    pub(crate) fn table(&self, address: u64, count: u64) -> Vec<String> {
        (0..count).map(|index| self.fields(address + 16 * index, &[8, 4, 2, 2])).collect()
    }

    fn bytes(&self, address: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.memory.read_bytes(address, &mut bytes).unwrap();
        bytes
    }

    /// Writes bytes, as the other side may at any time.
    pub(crate) fn poke(&self, address: u64, hex: &str) {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        self.memory.write_bytes(address, &bytes).unwrap();
    }

    /// Writes descriptors, from `address` on.
    pub(crate) fn poke_table(&self, address: u64, descriptors: &[&str]) {
        self.poke(address, &descriptors.concat());
    }

    /// As a driver of a split queue: makes the chain of descriptor 0 available.
    pub(crate) fn expose(&self, descriptors: &[&str]) {
        self.poke_table(0, descriptors);
        self.poke(DRIVER_AREA, "0000 0100 0000");
    }

    /// Makes one buffer available.
    pub(crate) fn offer(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> Notify {
        self.driver.add(readable, writable, cookie).unwrap();
        self.driver.publish()
    }

    /// Takes the next chain: what is readable, what is writable, and the right to complete it.
    pub(crate) fn take(&mut self) -> (Vec<Segment>, Vec<Segment>, Token) {
        let mut segments = [Segment::default(); 16];
        let chain = self.device.pop(&mut segments).unwrap().expect("a buffer is available");
        (chain.readable().to_vec(), chain.writable().to_vec(), chain.into_token())
    }

    /// The right to complete the next chain.
    pub(crate) fn token(&mut self) -> Token {
        self.take().2
    }

    /// Takes the next chain and returns it.
    pub(crate) fn use_next(&mut self, written: u32) -> Notify {
        let token = self.token();
        self.device.complete(token, written).unwrap();
        self.device.publish()
    }

    /// Takes the next used buffer back: its cookie, and the bytes written.
    pub(crate) fn reap(&mut self) -> Option<(u32, u32)> {
        self.driver.reap().unwrap().map(|used| (used.cookie, used.written))
    }

    /// What the device end has against the next chain. It says so once.
    pub(crate) fn driver_breach(&mut self) -> Violation {
        let mut segments = [Segment::default(); 16];
        let Err(PopError::Violation(violation)) = self.device.pop(&mut segments) else {
            panic!("the device end accepts the chain")
        };
        assert_eq!(self.device.pop(&mut segments), Ok(None), "a broken queue is idle");
        violation
    }

    /// What the driver end has against the next used buffer. It says so once.
    pub(crate) fn device_breach(&mut self) -> Violation {
        let violation = self.driver.reap().expect_err("the driver end accepts the buffer");
        assert_eq!(self.driver.reap(), Ok(None), "a broken queue is idle");
        violation
    }
}
