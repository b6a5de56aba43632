//! Bursts, compared with the plain calls.

mod calls;
mod steps;

use proptest::prelude::*;
use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{CompleteError, Features, PopError, Position, Segment, Token};
use support::{
    DESCRIPTORS, EVENT_IDX, HeapDeviceQueue, HeapDriverQueue, INDIRECT, ORDERS, PACKED, ZEROED, cases,
    queues, setup,
};

use self::calls::{Calls, Ends};
use self::steps::{Between, Round, Step, round};

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
                Step::Add { readable, writable } => self.add(None, readable, writable, ends),
                Step::AddIndirect { table, readable, writable } => {
                    self.add(Some(table), readable, writable, ends)
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

    fn add(
        &mut self,
        table: Option<Segment>,
        readable: usize,
        writable: usize,
        ends: &mut impl Calls,
    ) -> String {
        self.cookies += 1;
        ends.add(table, &SEGMENTS[..readable], &SEGMENTS[..writable], self.cookies)
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1000)) })]

    /// Bursts and plain calls give the same results, positions, and bytes of shared memory. The
    /// other side may write anything to the rings between two bursts.
    #[test]
    fn a_burst_does_what_the_plain_calls_do(
        rounds in prop::collection::vec(round(), 1..20),
        size in prop::sample::select(vec![1u16, 2, 4, 8, 8, 8]),
        // In an in-order queue, bursts make the plain calls.
        format in prop::sample::select(vec![0, 1, 0, 1, 2, 3]),
        event_idx in prop::sample::select(vec![Features::empty(), EVENT_IDX]),
        indirect in prop::sample::select(vec![Features::empty(), INDIRECT, INDIRECT, INDIRECT]),
        begins in any::<bool>(),
    ) {
        let features = ORDERS[format] | event_idx | indirect;
        let (mut plain_words, mut burst_words) = (ZEROED, ZEROED);
        {
            let mut plain = Rig::new(&mut plain_words, size, features);
            let mut bursts = Rig::new(&mut burst_words, size, features);
            if begins {
                plain.begin(size, features);
                bursts.begin(size, features);
            }
            for Round { steps, between, scribble } in &rounds {
                if let Some(scribble) = scribble {
                    scribble.apply(&plain.memory, features);
                    scribble.apply(&bursts.memory, features);
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
