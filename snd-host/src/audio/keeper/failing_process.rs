//! Audio processes that do not take their messages, or send too many.

use super::*;
use crate::pcm::tests::s16_stereo;
use crate::wire::{Direction, Launch, Usage};

/// The end of a channel that an audio process has.
type Process = Channel<Report, Order>;

/// Starts a keeper with an audio process that is ready, and that only the test lets act.
fn keeper() -> (Arc<Keeper>, Channel<Launch, Launch>, Process) {
    let (card, launcher) = Channel::pair().unwrap();
    let launcher = Channel::<Launch, Launch>::from(launcher);
    let keeper = thread::spawn(|| Keeper::start(Launcher::new(card)).unwrap());
    let launch = launcher.receive().unwrap().unwrap();
    let process = Process::from(OwnedFd::from(launch.file.unwrap()));
    process.send(&Report::Ready).unwrap();
    (keeper.join().unwrap(), launcher, process)
}

/// Opens a take.
fn open(keeper: &Keeper) -> Arc<TakeLink> {
    let (take, direction, params) = (TakeId(0), Direction::Play, s16_stereo());
    let opening = Opening { take, direction, stream: 0, params, has_level: false, generation: 0 };
    let file = File::open("/dev/null").unwrap();
    keeper.open(opening, &Arc::new(file)).unwrap()
}

/// Returns the messages that an audio process has got.
fn received(process: &Process) -> Vec<Order> {
    std::iter::from_fn(|| process.try_receive().ok().flatten()?.message).collect()
}

/// Has the process look at a take so often that there is no room for another message.
fn fill(keeper: &Keeper, take: &TakeLink) {
    (0..10_000).for_each(|_| keeper.wake(take));
}

#[test]
fn a_process_without_room_for_a_message_that_opens_a_take_is_replaced() {
    let (keeper, _launcher, process) = keeper();
    let first = open(&keeper);
    assert_eq!(first.generation(), Some(1));
    fill(&keeper, &first);
    let second = open(&keeper);
    assert_eq!((first.generation(), second.generation()), (None, None));
    let opened = received(&process).into_iter().filter(|order| matches!(order, Order::Open(_)));
    assert_eq!(opened.count(), 1);
}

#[test]
fn a_process_looks_at_a_take_later_if_it_had_no_room_for_the_message() {
    let (keeper, _launcher, process) = keeper();
    let take = open(&keeper);
    fill(&keeper, &take);
    let filled = received(&process).len();
    assert!(filled < 10_000);
    process.send(&Report::Alive(Usage::default())).unwrap();
    let channel = keeper.state().channel.clone().unwrap();
    keeper.receive(&channel);
    assert_eq!(received(&process), [Order::Wake(take.opening.take)]);
}

#[test]
fn a_process_that_sends_without_end_is_not_waited_for_without_end() {
    let (card, process) = Channel::<Order, Report>::pair().unwrap();
    let process = Process::from(process);
    let flood = thread::spawn(move || {
        let full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        while process.send(&Report::Alive(Usage::default())).as_ref().err().is_none_or(full) {}
    });
    let ready = wait_until_ready(&card, Instant::now() + Duration::from_millis(50));
    assert!(matches!(ready, Err(AudioError::NotReady)), "{ready:?}");
    drop(card);
    flood.join().unwrap();
}

#[test]
fn the_end_of_the_launcher_is_reported() {
    let (keeper, launcher, _process) = keeper();
    let (lost, reported) = std::sync::mpsc::channel();
    keeper.watch(move || lost.send(()).unwrap()).unwrap();
    drop(launcher);
    reported.recv().unwrap();
}
