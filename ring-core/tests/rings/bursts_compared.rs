//! Bursts, compared with the plain calls.

use proptest::prelude::*;
use ring_core::burst::{DeviceBurst, DriverBurst};
use ring_core::memory::{AlignedWord, Memory as _, RawMemory};
use ring_core::{Chain, CompleteError, Features, PopError, Position, Segment, Token, device, driver};
use support::{
    DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, HeapDeviceQueue, HeapDriverQueue, ORDERS, PACKED, ZEROED, cases,
    queues, setup,
};

/// A call that is made in a burst.
#[derive(Clone, Debug)]
enum Step {
    Add { readable: usize, writable: usize },
    Reap,
    Pop { room: usize },
    Complete { index: usize, written: u32 },
    Serve { room: usize, limit: usize },
}

/// What both ends do between two bursts, with plain calls.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Arm,
    ArmDelayed(u16),
    ArmAlways,
    Disarm,
    /// The device puts a chain back.
    Unpop(usize),
    /// The next burst finds both ends suspended.
    Suspend,
    Resume,
    Drain,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        4 => Just(Between::Nothing),
        4 => Just(Between::Arm),
        1 => (0..9u16).prop_map(Between::ArmDelayed),
        1 => Just(Between::ArmAlways),
        1 => Just(Between::Disarm),
        2 => (0..8usize).prop_map(Between::Unpop),
        1 => Just(Between::Suspend),
        2 => Just(Between::Resume),
        1 => Just(Between::Drain),
    ]
}

/// One burst of each end.
#[derive(Clone, Debug)]
struct Round {
    steps: Vec<Step>,
    /// What both ends do after the bursts.
    between: Between,
    /// What is written to the rings before the bursts.
    scribble: Option<(u64, [u8; 2])>,
}

fn round() -> impl Strategy<Value = Round> {
    let bytes = prop_oneof![Just([0, 0]), Just([1, 0]), Just([5, 0]), Just([0xff, 0xff]), any::<[u8; 2]>()];
    // A small part of the descriptors, or of the other areas.
    let address = prop_oneof![DESCRIPTORS..DESCRIPTORS + 0x40, DRIVER..DRIVER + 0x10, DEVICE..DEVICE + 0x20];
    let scribble = prop::option::weighted(0.1, (address, bytes));
    (prop::collection::vec(step(), 0..24), between(), scribble).prop_map(|(steps, between, scribble)| Round {
        steps,
        between,
        scribble,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..4usize).prop_map(|(readable, writable)| Step::Add { readable, writable }),
        3 => Just(Step::Reap),
        4 => (0..6usize).prop_map(|room| Step::Pop { room }),
        3 => (0..8usize, 0..20u32).prop_map(|(index, written)| Step::Complete { index, written }),
        1 => (0..6usize, 0..4usize).prop_map(|(room, limit)| Step::Serve { room, limit }),
    ]
}

/// The calls that are made for each buffer, at both ends of a queue.
trait Calls {
    fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> String;
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
struct Ends<D, V>(D, V);

/// Implements [`Calls`] for the queues or for their bursts.
macro_rules! calls {
    ($driver:ty, $device:ty, $serve:path) => {
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
                Step::Serve { room, limit } => self.serve(room, limit, ends),
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

    fn serve(&mut self, room: usize, limit: usize, ends: &mut impl Calls) -> String {
        let mut seen = vec![];
        let served = ends.serve(&mut [Segment::default(); 6][..room], limit, |readable, writable| {
            seen.push((readable.to_vec(), writable.to_vec()));
            4
        });
        let said = format!("{served:?} {seen:?}");
        if let Err(PopError::TooLong(token)) = served {
            self.tokens.push(token);
        }
        said
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

    /// Performs the steps with plain calls.
    fn run_plainly(&mut self, steps: &[Step]) {
        self.record.run(steps, &mut Ends(&mut self.driver, &mut self.device));
        let notify = (self.driver.publish(), self.device.publish());
        self.record.log.push(format!("{notify:?}"));
    }

    /// Moves the empty queue to a position shortly before the index, or the ring, wraps around.
    fn begin(&mut self, size: u16, features: Features) {
        let start = if features.contains(PACKED) { size - 1 } else { u16::MAX - 2 };
        self.driver.begin_at(Position::quiescent(start)).unwrap();
        self.device.resume(Position::quiescent(start)).unwrap();
    }

    /// Does what both ends do between two bursts.
    fn proceed(&mut self, between: Between) {
        let Self { driver, device, record, .. } = self;
        let said = match between {
            Between::Nothing => return,
            Between::Arm => format!("{:?}", (driver.arm(), device.arm())),
            Between::ArmDelayed(count) => format!("{:?}", (driver.arm_after(count), device.arm_after(count))),
            Between::ArmAlways => format!("{:?}", (driver.arm_always(), device.arm_always())),
            Between::Disarm => format!("{:?}", (driver.disarm(), device.disarm())),
            Between::Unpop(_) if record.tokens.is_empty() => return,
            Between::Unpop(index) => {
                let token = record.tokens.swap_remove(index % record.tokens.len());
                let unpopped = device.unpop(token);
                let said = format!("{unpopped:?}");
                if let Err(CompleteError::NotNewest(token) | CompleteError::Suspended(token)) = unpopped {
                    record.tokens.push(token);
                }
                said
            }
            Between::Suspend => format!("{:?}", (driver.suspend(), device.suspend())),
            Between::Resume => format!("{:?}", (driver.resume(), device.resume(device.position()))),
            Between::Drain => format!("{:?}", device.drain()),
        };
        record.log.push(said);
    }

    /// Performs the steps in one burst of each end.
    fn run_by_bursts(&mut self, steps: &[Step]) {
        let mut ends = Ends(self.driver.burst(), self.device.burst());
        self.record.run(steps, &mut ends);
        let notify = (ends.0.publish(), ends.1.publish());
        self.record.log.push(format!("{notify:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400)))]

    /// Bursts and plain calls give the same results, positions, and bytes of shared memory. The
    /// other side may write anything to the rings between two bursts.
    #[test]
    fn a_burst_does_what_the_plain_calls_do(
        rounds in prop::collection::vec(round(), 1..20),
        size in prop::sample::select(vec![1u16, 2, 4, 8]),
        format in 0..4usize,
        event_idx in any::<bool>(),
        begins in any::<bool>(),
    ) {
        let features = ORDERS[format] | if event_idx { EVENT_IDX } else { Features::empty() };
        let (mut plain_words, mut burst_words) = (ZEROED, ZEROED);
        {
            let mut plain = Rig::new(&mut plain_words, size, features);
            let mut bursts = Rig::new(&mut burst_words, size, features);
            if begins {
                plain.begin(size, features);
                bursts.begin(size, features);
            }
            for Round { steps, between, scribble } in &rounds {
                if let Some((address, bytes)) = scribble {
                    plain.memory.write_bytes(*address, bytes).unwrap();
                    bursts.memory.write_bytes(*address, bytes).unwrap();
                }
                // Within a burst, nothing is published. So one look finds what each look finds.
                plain.run_plainly(steps);
                bursts.run_by_bursts(steps);
                plain.proceed(*between);
                bursts.proceed(*between);
                prop_assert_eq!(&plain.record.log, &bursts.record.log);
                prop_assert_eq!(plain.driver.position(), bursts.driver.position());
                prop_assert_eq!(plain.device.position(), bursts.device.position());
                prop_assert_eq!(plain.driver.free(), bursts.driver.free());
            }
        }
        prop_assert_eq!(&plain_words[..], &burst_words[..]);
    }
}
