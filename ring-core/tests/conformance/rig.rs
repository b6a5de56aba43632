//! A small queue in a page of its own. Both ends are recorded, and the whole page can be compared.

use ring_core::memory::{AlignedWord, Memory as _, RawMemory};
use ring_core::{Areas, Features, Notify, PopError, Segment, Setup, Token, Violation};
use support::{Access, HeapDeviceQueue, HeapDriverQueue, PACKED, Watched, device_queue, driver_queue};

/// The address of the driver area of a queue of up to four descriptors. The descriptor area is at
/// 0.
pub(crate) const DRIVER_AREA: u64 = 0x40;
/// The address of the device area.
pub(crate) const DEVICE_AREA: u64 = 0x50;
/// The address of the rest of the page, for tables and payloads.
pub(crate) const SPARE: u64 = 0x80;
/// The number of words in a page, which ends at 0x100.
const PAGE_WORDS: usize = 0x20;

/// A descriptor of either format that was never written.
pub(crate) const NO_DESCRIPTOR: &str = "0000000000000000 00000000 0000 0000";
/// An event suppression structure that was never written.
pub(crate) const NO_EVENT: &str = "0000 0000";

/// A segment that the device may read. The segments are outside the page, because a queue accesses
/// no memory by address except indirect tables.
pub(crate) const READ_A: Segment = Segment::new(0x1000, 0x10);
/// Another segment that the device may read.
pub(crate) const READ_B: Segment = Segment::new(0x2000, 0x20);
/// A segment that the device may write.
pub(crate) const WRITE_A: Segment = Segment::new(0x3000, 0x30);
/// Another segment that the device may write.
pub(crate) const WRITE_B: Segment = Segment::new(0x4000, 0x40);

/// The memory of one queue.
#[derive(Default)]
pub(crate) struct Page([AlignedWord; PAGE_WORDS]);

impl Page {
    /// Returns a page that is filled with `byte`.
    pub(crate) const fn filled(byte: u8) -> Self {
        Self([AlignedWord([byte; 8]); PAGE_WORDS])
    }
}

/// Returns the configuration of a queue in a [`Page`].
pub(crate) const fn setup(size: u16, features: Features) -> Setup {
    Setup::new(size, features, Areas { descriptor: 0, driver: DRIVER_AREA, device: DEVICE_AREA })
}

/// The accesses of one end, oldest first, with a line for each access: `"driver+2 store u16
/// Release"`.
#[derive(Debug)]
pub(crate) struct Log<'m> {
    memory: Watched<'m>,
    areas: Areas,
}

impl Log<'_> {
    /// Returns the accesses since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        self.memory.accesses().into_iter().map(|access| self.line(access)).collect()
    }

    fn line(&self, access: Access) -> String {
        match access {
            Access::Read { address, len } => format!("{} read u{}", self.place(address), 8 * len),
            Access::Write { address, len } => format!("{} write u{}", self.place(address), 8 * len),
            Access::Load { address, len, order } => {
                format!("{} load u{} {order:?}", self.place(address), 8 * len)
            }
            Access::Store { address, len, order } => {
                format!("{} store u{} {order:?}", self.place(address), 8 * len)
            }
            Access::ReadBytes { address, len } => format!("{address:#x} read {len} bytes"),
            Access::WriteBytes { address, len } => format!("{address:#x} write {len} bytes"),
            Access::Table { address, len } => format!("{address:#x} table of {len} bytes"),
            Access::ReadInTable { address, len } => format!("{address:#x} read {len} bytes in place"),
            Access::Fence => "fence".into(),
        }
    }

    /// Returns the name of the area of a word, and the offset of the word in it.
    fn place(&self, address: u64) -> String {
        let Areas { descriptor, driver, device } = self.areas;
        let areas = [("device", device), ("driver", driver), ("descriptor", descriptor)];
        let area = areas.into_iter().find(|(_, start)| *start <= address);
        let (name, start) = area.expect("the areas begin at address 0");
        format!("{name}+{}", address - start)
    }
}

/// Both ends of a queue.
pub(crate) struct Queue<'m> {
    pub(crate) driver: HeapDriverQueue<Watched<'m>, u32>,
    pub(crate) device: HeapDeviceQueue<Watched<'m>>,
    /// The accesses of the driver end since the queue was set up.
    pub(crate) driver_log: Log<'m>,
    /// The accesses of the device end since the queue was set up.
    pub(crate) device_log: Log<'m>,
    memory: RawMemory<'m>,
    setup: Setup,
}

impl<'m> Queue<'m> {
    pub(crate) fn new(page: &'m mut Page, size: u16, features: Features) -> Self {
        let memory = RawMemory::from_mut(&mut page.0, 0);
        let setup = setup(size, features);
        let [driver_log, device_log] =
            [(); 2].map(|()| Log { memory: Watched::new(memory.clone()), areas: setup.areas });
        let driver = driver_queue(driver_log.memory.clone(), &setup);
        let device = device_queue(device_log.memory.clone(), &setup);
        drop((driver_log.take(), device_log.take()));
        Self { driver, device, driver_log, device_log, memory, setup }
    }

    /// Returns the page as bytes in hexadecimal, with a space between two fields: each descriptor,
    /// the driver area and the device area. The bytes between the areas have to be zero.
    pub(crate) fn picture(&self) -> Vec<String> {
        let packed = self.setup.features.contains(PACKED);
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

    /// Returns the bytes that start at `address`, in fields of these sizes.
    pub(crate) fn fields(&self, address: u64, sizes: &[u64]) -> String {
        let mut at = address;
        let fields = sizes.iter().map(|&size| {
            at += size;
            self.bytes(at - size, size).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    /// Returns the `count` descriptors that start at `address`.
    pub(crate) fn table(&self, address: u64, count: u64) -> Vec<String> {
        (0..count).map(|index| self.fields(address + 16 * index, &[8, 4, 2, 2])).collect()
    }

    fn bytes(&self, address: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.memory.read_bytes(address, &mut bytes).unwrap();
        bytes
    }

    /// Writes bytes, as the other side can at any time.
    pub(crate) fn poke(&self, address: u64, hex: &str) {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        self.memory.write_bytes(address, &bytes).unwrap();
    }

    /// Writes descriptors, starting at `address`.
    pub(crate) fn poke_table(&self, address: u64, descriptors: &[&str]) {
        self.poke(address, &descriptors.concat());
    }

    /// Makes the chain of descriptor 0 available, as a driver of a split queue does.
    pub(crate) fn expose(&self, descriptors: &[&str]) {
        self.poke_table(0, descriptors);
        self.poke(DRIVER_AREA, "0000 0100 0000");
    }

    /// Makes one buffer available.
    pub(crate) fn offer(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> Notify {
        self.driver.add(readable, writable, cookie).unwrap();
        self.driver.publish()
    }

    /// Takes the next chain: its readable segments, its writable segments, and its token.
    pub(crate) fn take(&mut self) -> (Vec<Segment>, Vec<Segment>, Token) {
        let mut segments = [Segment::default(); 16];
        let chain = self.device.pop(&mut segments).unwrap().expect("a buffer is available");
        (chain.readable().to_vec(), chain.writable().to_vec(), chain.into_token())
    }

    /// Takes the next chain. Returns its token.
    pub(crate) fn token(&mut self) -> Token {
        self.take().2
    }

    /// Takes the next chain, completes it and publishes it.
    pub(crate) fn use_next(&mut self, written: u32) -> Notify {
        let token = self.token();
        self.device.complete(token, written).unwrap();
        self.device.publish()
    }

    /// Takes back the next used buffer: its cookie, and the number of bytes written.
    pub(crate) fn reap(&mut self) -> Option<(u32, u32)> {
        self.driver.reap().unwrap().map(|used| (used.cookie, used.written))
    }

    /// Returns the violation that the device end reports for the next chain, once.
    pub(crate) fn driver_violation(&mut self) -> Violation {
        let mut segments = [Segment::default(); 16];
        let Err(PopError::Violation(violation)) = self.device.pop(&mut segments) else {
            panic!("the device end accepts the chain")
        };
        assert_eq!(self.device.pop(&mut segments), Ok(None), "a broken queue is idle");
        violation
    }

    /// Returns the violation that the driver end reports for the next used buffer, once.
    pub(crate) fn device_violation(&mut self) -> Violation {
        let violation = self.driver.reap().expect_err("the driver end accepts the buffer");
        assert_eq!(self.driver.reap(), Ok(None), "a broken queue is idle");
        violation
    }
}
