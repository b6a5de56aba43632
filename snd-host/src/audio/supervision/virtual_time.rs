use proptest::prelude::*;

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const TAKE: TakeId = TakeId(1);
const OTHER: TakeId = TakeId(2);
const IDLE: Usage = Usage { threads: 4, files: 9, busy_ms: 0 };

/// The supervision in virtual time.
struct Watch {
    supervision: Supervision,
    now: Instant,
}

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
        Self { supervision: Supervision::new(now), now }
    }

    /// Starts a process that is ready at once, and runs for long enough to be stable.
    fn stable() -> Self {
        let mut watch = Self::new();
        assert_eq!(watch.on(Event::Look), [Action::Start]);
        assert_eq!(watch.on(Event::Ready), []);
        watch.now += STABLE_AFTER;
        watch
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.supervision.on(event, self.now)
    }

    /// Lets the time pass until there is something to look at, and looks.
    fn look(&mut self) -> Vec<Action> {
        self.now = self.supervision.next_look().expect("there is something to look at").max(self.now);
        self.on(Event::Look)
    }
}

#[test]
fn a_stable_process_that_crashes_is_replaced_at_once_with_its_takes() {
    let mut watch = Watch::stable();
    assert_eq!(watch.on(Event::Opened(TAKE)), [Action::Open(TAKE, 1)]);
    assert_eq!(watch.on(Event::Opened(OTHER)), [Action::Open(OTHER, 1)]);
    watch.on(Event::Ending(OTHER, ms(40)));
    let replaced = [Action::Lost(Reason::Ended), Action::Forget(OTHER), Action::Start];
    assert_eq!(watch.on(Event::Gone), replaced);
    assert_eq!(watch.on(Event::Ready), [Action::Open(TAKE, 2)]);
}

#[test]
fn a_process_that_takes_no_message_is_replaced_at_once_with_its_takes() {
    let mut watch = Watch::stable();
    assert_eq!(watch.on(Event::Opened(TAKE)), [Action::Open(TAKE, 1)]);
    assert_eq!(watch.on(Event::Unreachable), [Action::Lost(Reason::Unreachable), Action::Start]);
    assert_eq!(watch.on(Event::Ready), [Action::Open(TAKE, 2)]);
}

#[test]
fn a_crash_loop_is_slowed_down_and_ends_with_a_stable_process() {
    let mut watch = Watch::new();
    assert_eq!(watch.on(Event::Look), [Action::Start]);
    for delay in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
        watch.on(Event::Ready);
        assert_eq!(watch.on(Event::Gone), [Action::Lost(Reason::Ended)]);
        let before = watch.now;
        assert_eq!(watch.look(), [Action::Start]);
        assert_eq!(watch.now - before, ms(delay));
    }
    watch.on(Event::Ready);
    watch.now += STABLE_AFTER;
    assert_eq!(watch.on(Event::Gone), [Action::Lost(Reason::Ended), Action::Start]);
    watch.on(Event::Ready);
    watch.on(Event::Gone);
    assert_eq!(watch.supervision.next_look(), Some(watch.now + MIN_DELAY), "the delay starts over");
}

#[test]
fn a_process_with_takes_that_hangs_is_replaced_within_two_seconds() {
    let mut watch = Watch::stable();
    assert_eq!(watch.supervision.next_look(), None, "a process without takes is not woken");
    let start = watch.now;
    watch.on(Event::Opened(TAKE));
    assert_eq!(watch.look(), [Action::Ask]);
    assert_eq!(watch.on(Event::Alive(IDLE)), []);
    assert_eq!(watch.look(), [Action::Ask]);
    let stopped = watch.now;
    assert_eq!(watch.look(), [Action::Lost(Reason::NoAnswer), Action::Start]);
    assert!(watch.now - stopped <= ms(1000) && stopped - start == ms(500));
}

#[test]
fn a_slow_start_is_waited_for_and_bounded() {
    let mut watch = Watch::new();
    watch.on(Event::Look);
    assert_eq!(watch.on(Event::Opened(TAKE)), []);
    watch.now += ms(30_000);
    assert_eq!(watch.on(Event::Look), []);
    assert_eq!(watch.on(Event::Ready), [Action::Open(TAKE, 1)]);
    watch.on(Event::Gone);
    watch.now += ms(6_000);
    assert_eq!(watch.on(Event::Look), [Action::Start]);
    assert_eq!(watch.look(), [Action::Lost(Reason::NotReady)]);
}

#[test]
fn a_sink_that_does_not_return_costs_the_process_after_ten_seconds() {
    let mut watch = Watch::stable();
    watch.on(Event::Opened(TAKE));
    watch.look();
    assert_eq!(watch.on(Event::Alive(Usage { busy_ms: 9_999, ..IDLE })), []);
    watch.look();
    let replaced = [Action::Lost(Reason::Busy), Action::Start];
    assert_eq!(watch.on(Event::Alive(Usage { busy_ms: 10_000, ..IDLE })), replaced);
}

#[test]
fn a_take_that_does_not_end_costs_the_process() {
    let mut watch = Watch::stable();
    watch.on(Event::Opened(TAKE));
    watch.on(Event::Opened(OTHER));
    watch.on(Event::Ending(OTHER, ms(200)));
    let end = watch.now + ms(200) + END_MARGIN;
    loop {
        let actions = watch.look();
        if actions != [Action::Ask] {
            let replaced = [Action::Lost(Reason::NoEnd(OTHER)), Action::Forget(OTHER), Action::Start];
            assert_eq!((actions.as_slice(), watch.now), (&replaced[..], end));
            break;
        }
        watch.on(Event::Alive(IDLE));
    }
    assert_eq!(watch.on(Event::Ready), [Action::Open(TAKE, 2)]);
}

#[test]
fn a_process_that_leaks_is_replaced_when_it_is_idle_or_at_a_limit() {
    let leaked = Usage { threads: MAX_IDLE_THREADS + 1, ..IDLE };
    let mut watch = Watch::stable();
    watch.on(Event::Opened(TAKE));
    watch.look();
    assert_eq!(watch.on(Event::Alive(leaked)), []);
    let replaced = [Action::Forget(TAKE), Action::Lost(Reason::Leak(leaked)), Action::Start];
    assert_eq!(watch.on(Event::Ended(TAKE)), replaced);

    let mut watch = Watch::stable();
    watch.on(Event::Opened(TAKE));
    watch.look();
    let full = Usage { files: MAX_FILES + 1, ..IDLE };
    assert_eq!(watch.on(Event::Alive(full)), [Action::Lost(Reason::Leak(full)), Action::Start]);
}

#[test]
fn a_process_that_leaks_with_each_short_take_is_replaced() {
    let leaked = Usage { threads: MAX_IDLE_THREADS + 1, ..IDLE };
    let mut watch = Watch::stable();
    let replaced = (1..=100).map(TakeId).find(|take| {
        watch.on(Event::Opened(*take));
        if watch.on(Event::Look) == [Action::Ask] {
            watch.on(Event::Alive(leaked));
        }
        watch.now += ms(10);
        let ended = watch.on(Event::Ended(*take));
        watch.now += ms(10);
        ended.contains(&Action::Lost(Reason::Leak(leaked)))
    });
    assert!(replaced.is_some());
}

#[test]
fn takes_that_end_while_there_is_no_process_are_forgotten() {
    let mut watch = Watch::new();
    watch.on(Event::Look);
    watch.on(Event::Opened(TAKE));
    assert_eq!(watch.on(Event::Ending(TAKE, ms(40))), [Action::Forget(TAKE)]);
    assert!(watch.supervision.is_idle());
    assert_eq!(watch.on(Event::Ready), []);
    assert_eq!(watch.on(Event::Ended(TAKE)), [], "an event of a take that is not known");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Ready,
    Alive,
    Gone,
    Open(u64),
    End(u64),
    Ended(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u64..3_000).prop_map(Step::Wait),
        Just(Step::Ready),
        Just(Step::Alive),
        Just(Step::Gone),
        (0u64..6).prop_map(Step::Open),
        (0u64..6).prop_map(Step::End),
        (0u64..6).prop_map(Step::Ended),
    ];
    prop::collection::vec(step, 0..200)
}

/// An audio process as the supervision sees it: it is ready after it was started, answers when it
/// was asked, and ends only takes that were opened.
#[derive(Default)]
struct Model {
    starting: bool,
    ready: bool,
    /// The takes that are open in the process, and those that have to be.
    opened: Vec<TakeId>,
    wanted: Vec<TakeId>,
}

impl Model {
    /// Returns the event of a step; `None` if it cannot happen now.
    fn event(&mut self, step: Step, watch: &mut Watch) -> Option<Event> {
        match step {
            Step::Wait(time) => {
                let until = watch.now + ms(time);
                watch.now = watch.supervision.next_look().map_or(until, |look| look.clamp(watch.now, until));
                Some(Event::Look)
            }
            Step::Ready => std::mem::take(&mut self.starting).then(|| {
                self.ready = true;
                Event::Ready
            }),
            Step::Alive => self.ready.then_some(Event::Alive(IDLE)),
            Step::Gone => (self.starting || self.ready).then_some(Event::Gone),
            Step::Open(id) => {
                let new = !self.wanted.contains(&TakeId(id)) && watch.supervision.has_room();
                new.then(|| {
                    self.wanted.push(TakeId(id));
                    Event::Opened(TakeId(id))
                })
            }
            Step::End(id) => Some(Event::Ending(TakeId(id), ms(100))),
            Step::Ended(id) => self.opened.contains(&TakeId(id)).then_some(Event::Ended(TakeId(id))),
        }
    }

    /// Does what an action says.
    fn act(&mut self, action: Action) {
        match action {
            Action::Lost(_) => (self.ready, self.starting, self.opened) = (false, false, Vec::new()),
            Action::Start => {
                assert!(!self.ready && !self.starting, "a process is started when the last one is lost");
                self.starting = true;
            }
            Action::Ask => assert!(self.ready && !self.wanted.is_empty()),
            Action::Open(id, _) => {
                assert!(self.ready && !self.opened.contains(&id) && self.wanted.contains(&id));
                self.opened.push(id);
            }
            Action::Forget(id) => {
                self.wanted.retain(|take| *take != id);
                self.opened.retain(|take| *take != id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_process_does_each_take_is_opened_once_in_each(steps in steps()) {
        let (mut watch, mut model) = (Watch::new(), Model::default());
        for step in steps {
            let Some(event) = model.event(step, &mut watch) else { continue };
            for action in watch.on(event) {
                model.act(action);
            }
            let Model { wanted, opened, ready, .. } = &model;
            prop_assert!(!ready || wanted.iter().all(|take| opened.contains(take)), "{wanted:?} {opened:?}");
            prop_assert_eq!(watch.supervision.is_idle(), wanted.is_empty());
        }
    }
}
