//! Bursts, compared with the plain calls.

use proptest::prelude::*;
use ring_core::burst::{DeviceBurst, DriverBurst};
use ring_core::memory::{AlignedWord, Memory as _, RawMemory};
use ring_core::{Chain, Features, PopError, Segment, Token, device, driver};
use support::{
    DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, HeapDeviceQueue, HeapDriverQueue, ORDERS, ZEROED, cases, queues,
    setup,
};

/// What is done in one burst.
#[derive(Clone, Debug)]
enum Step {
    Add { readable: usize, writable: usize },
    Reap,
    Pop { room: usize },
    Complete { index: usize, written: u32 },
}

/// One burst of each end.
#[derive(Clone, Debug)]
struct Round {
    steps: Vec<Step>,
    /// Whether both ends ask to be notified afterwards.
    arms: bool,
    /// What is written to the rings beforehand.
    scribble: Option<(u64, [u8; 2])>,
}

fn round() -> impl Strategy<Value = Round> {
    let bytes = prop_oneof![Just([0, 0]), Just([1, 0]), Just([5, 0]), Just([0xff, 0xff]), any::<[u8; 2]>()];
    // A small part of the descriptors, or of the other areas.
    let address = prop_oneof![DESCRIPTORS..DESCRIPTORS + 0x40, DRIVER..DRIVER + 0x10, DEVICE..DEVICE + 0x20];
    let scribble = prop::option::weighted(0.1, (address, bytes));
    (prop::collection::vec(step(), 0..24), any::<bool>(), scribble)
        .prop_map(|(steps, arms, scribble)| Round { steps, arms, scribble })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..4usize).prop_map(|(readable, writable)| Step::Add { readable, writable }),
        3 => Just(Step::Reap),
        4 => (0..6usize).prop_map(|room| Step::Pop { room }),
        3 => (0..8usize, 0..20u32).prop_map(|(index, written)| Step::Complete { index, written }),
    ]
}

/// The calls that are made for each buffer, at both ends of a queue.
trait Calls {
    fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> String;
    fn reap(&mut self) -> String;
    fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError>;
    fn complete(&mut self, token: Token, written: u32) -> String;
}

/// Both ends, by which the calls are made.
struct Ends<D, V>(D, V);

/// Implements [`Calls`] for the queues or for their bursts.
macro_rules! calls {
    ($driver:ty, $device:ty) => {
        impl Calls for Ends<$driver, $device> {
            fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> String {
                format!("{:?}", self.0.add(readable, writable, cookie))
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
        }
    };
}

calls!(&mut HeapDriverQueue<RawMemory<'_>, u32>, &mut HeapDeviceQueue<RawMemory<'_>>);
calls!(
    DriverBurst<'_, RawMemory<'_>, Vec<driver::Slot<u32>>, u32>,
    DeviceBurst<'_, RawMemory<'_>, Vec<device::Slot>>
);

const SEGMENTS: [Segment; 4] =
    [Segment::new(0x2000, 3), Segment::new(0x2100, 5), Segment::new(0x2200, 1), Segment::new(0x2300, 9)];

/// What the steps have returned.
#[derive(Default)]
struct Record {
    tokens: Vec<Token>,
    cookies: u32,
    log: Vec<String>,
}

impl Record {
    fn run(&mut self, steps: &[Step], ends: &mut impl Calls) {
        for step in steps {
            let said = match *step {
                Step::Add { readable, writable } => {
                    self.cookies += 1;
                    ends.add(&SEGMENTS[..readable], &SEGMENTS[..writable], self.cookies)
                }
                Step::Reap => ends.reap(),
                Step::Pop { room } => self.pop(room, ends),
                Step::Complete { index, written } if !self.tokens.is_empty() => {
                    let token = self.tokens.swap_remove(index % self.tokens.len());
                    let written = written.min(token.writable());
                    ends.complete(token, written)
                }
                Step::Complete { .. } => continue,
            };
            self.log.push(said);
        }
    }

    fn pop(&mut self, room: usize, ends: &mut impl Calls) -> String {
        let mut storage = [Segment::default(); 6];
        let popped = ends.pop(&mut storage[..room]);
        let said = format!("{popped:?}");
        match popped {
            Ok(Some(chain)) => self.tokens.push(chain.into_token()),
            Err(PopError::TooLong(token)) => self.tokens.push(token),
            Ok(None) | Err(PopError::Violation(_)) => {}
        }
        said
    }
}

/// Both ends of a queue, and what the steps have returned.
struct Rig<'m> {
    memory: RawMemory<'m>,
    driver: HeapDriverQueue<RawMemory<'m>, u32>,
    device: HeapDeviceQueue<RawMemory<'m>>,
    record: Record,
}

impl<'m> Rig<'m> {
    fn new(words: &'m mut [AlignedWord], size: u16, features: Features) -> Self {
        let memory = RawMemory::from_mut(words, DESCRIPTORS);
        let (driver, device) = queues(&memory, &setup(size, features));
        Self { memory, driver, device, record: Record::default() }
    }

    /// Does the steps by plain calls.
    fn run_plainly(&mut self, steps: &[Step]) {
        self.record.run(steps, &mut Ends(&mut self.driver, &mut self.device));
        let notify = (self.driver.publish(), self.device.publish());
        self.record.log.push(format!("{notify:?}"));
    }

    /// Does the steps in one burst of each end.
    fn run_by_bursts(&mut self, steps: &[Step]) {
        let mut ends = Ends(self.driver.burst(), self.device.burst());
        self.record.run(steps, &mut ends);
        let notify = (ends.0.publish(), ends.1.publish());
        self.record.log.push(format!("{notify:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400)))]

    /// Everything is the same: results, positions, and each byte of shared memory. The other side
    /// may write anything to the rings between two bursts.
    #[test]
    fn a_burst_does_what_the_plain_calls_do(
        rounds in prop::collection::vec(round(), 1..20),
        size in prop::sample::select(vec![1u16, 2, 4, 8]),
        format in 0..4usize,
        event_idx in any::<bool>(),
    ) {
        let features = ORDERS[format] | if event_idx { EVENT_IDX } else { Features::empty() };
        let (mut plain_words, mut burst_words) = (ZEROED, ZEROED);
        {
            let mut plain = Rig::new(&mut plain_words, size, features);
            let mut bursts = Rig::new(&mut burst_words, size, features);
            for Round { steps, arms, scribble } in &rounds {
                if let Some((address, bytes)) = scribble {
                    plain.memory.write_bytes(*address, bytes).unwrap();
                    bursts.memory.write_bytes(*address, bytes).unwrap();
                }
                // Within a burst, nothing is published. So one look finds what each look finds.
                plain.run_plainly(steps);
                bursts.run_by_bursts(steps);
                if *arms {
                    prop_assert_eq!(plain.driver.arm(), bursts.driver.arm());
                    prop_assert_eq!(plain.device.arm(), bursts.device.arm());
                }
                prop_assert_eq!(&plain.record.log, &bursts.record.log);
                prop_assert_eq!(plain.driver.position(), bursts.driver.position());
                prop_assert_eq!(plain.device.position(), bursts.device.position());
                prop_assert_eq!(plain.driver.free(), bursts.driver.free());
            }
        }
        prop_assert_eq!(&plain_words[..], &burst_words[..]);
    }
}
