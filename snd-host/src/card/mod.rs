//! The sound card: its streams, control elements and notifications.

mod control;
mod events;
mod topology;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Chain, Reader};
use tracing::debug;

use self::control::{Change, Effect, Elements};
use self::events::Events;
use crate::audio::{HostAudio, Input, Level, Output};
use crate::spec::FEATURE_CTLS;
use crate::stream::{Completion, Direction, Message, State, Stream, Take, stream_id};

pub(crate) use self::control::{Answer, ControlRequest, MAX_REQUEST, STATUS_BYTES};
pub(crate) use self::topology::Topology;

/// The state of the sound card.
#[derive(Debug)]
pub(crate) struct Card {
    audio: Arc<HostAudio>,
    topology: Topology,
    /// The streams, indexed by stream number.
    streams: Vec<Stream>,
    /// The take of each stream, if any.
    takes: Vec<Option<Take>>,
    /// The level of each stream.
    levels: Vec<Arc<Level>>,
    elements: Elements,
    /// Whether the driver has negotiated control elements.
    controls: bool,
    events: Events,
}

/// Completed messages, by the queue that they came from.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    pub(crate) tx: Vec<Completion>,
    pub(crate) rx: Vec<Completion>,
}

impl Completions {
    fn of(direction: Direction, completions: Vec<Completion>) -> Self {
        match direction {
            Direction::Output => Self { tx: completions, rx: Vec::new() },
            Direction::Input => Self { tx: Vec::new(), rx: completions },
        }
    }
}

impl Card {
    /// Creates a card whose streams have not been prepared.
    pub(crate) fn new(audio: Arc<HostAudio>, topology: Topology) -> Self {
        let streams = topology.streams();
        let takes = streams.iter().map(|_| None).collect();
        let levels: Vec<Arc<Level>> = streams.iter().map(|_| Arc::default()).collect();
        let elements = Elements::new(&streams, &levels);
        let events = Events::default();
        Self { audio, topology, streams, takes, levels, elements, controls: false, events }
    }

    /// Describes the state of each stream in a line of text.
    pub(crate) fn report(&self) -> Vec<String> {
        let streams = self.streams.iter().zip(&self.takes).enumerate();
        let report = streams.map(|(id, (stream, take))| {
            let take = take.as_ref().map_or_else(String::new, |take| format!(": {take}"));
            format!("stream {id} {:?} {:?}{take}", stream.direction, stream.state)
        });
        report.collect()
    }

    /// Returns to the state after a reset of the device. The pending messages are not completed.
    pub(crate) fn reset(&mut self) {
        let controls = self.controls;
        *self = Self::new(self.audio.clone(), self.topology);
        self.controls = controls;
    }

    /// Sets the features that the driver has negotiated.
    pub(crate) fn set_features(&mut self, features: u64) {
        self.controls = self.topology.controls && features & FEATURE_CTLS != 0;
    }

    /// Executes a control request. The messages must be published before the answer is published.
    pub(crate) fn execute(&mut self, request: ControlRequest<'_>, now: Instant) -> (Answer, Completions) {
        let elements = self.controls.then_some(&mut self.elements);
        let answer = control::answer(request, self.topology, &mut self.streams, elements);
        let completions = match answer.effect {
            Some(Effect::Take { stream, change }) => self.change(stream, change, now),
            Some(Effect::ElementChanged(element)) => {
                self.events.value_changed(element);
                Completions::default()
            }
            None => Completions::default(),
        };
        (answer, completions)
    }

    /// Changes the take of stream number `id`. Returns the messages of a take that ends.
    fn change(&mut self, id: usize, change: Change, now: Instant) -> Completions {
        let (Some(stream), Some(take)) = (self.streams.get(id), self.takes.get_mut(id)) else {
            return Completions::default();
        };
        let direction = stream.direction;
        let ended = match change {
            Change::End => take.take(),
            Change::Prepare(params) => {
                let level = self.levels.get(id).filter(|_| self.controls).cloned();
                take.replace(match direction {
                    Direction::Output => Take::play(id, params, Output::new(&self.audio, id, params, level)),
                    Direction::Input => Take::record(id, params, Input::new(&self.audio, id, params, level)),
                })
            }
            Change::Start => {
                if let Some(take) = take {
                    take.start(now);
                }
                None
            }
            Change::Stop => {
                if let Some(take) = take {
                    take.stop(now);
                }
                None
            }
        };
        Completions::of(direction, ended.map_or_else(Vec::new, Take::end))
    }

    /// Accepts an I/O message from the queue of a direction. A refused message is returned as an
    /// error, completed.
    pub(crate) fn accept(
        &mut self,
        direction: Direction,
        memory: &impl Memory,
        chain: Chain<'_>,
        now: Instant,
    ) -> Result<(), Completion> {
        let mut reader = Reader::new(memory, chain.readable());
        let id = stream_id(&mut reader);
        let result = match id.and_then(|id| self.accepting(direction, id)) {
            Some(take) => take.accept(&mut reader, chain, now),
            None => Err(Message::new(chain)),
        };
        result.map_err(|message| {
            debug!(stream = id, "message refused");
            message.failed()
        })
    }

    /// Returns the take of stream number `id`, if it has that direction and accepts messages.
    fn accepting(&mut self, direction: Direction, id: usize) -> Option<&mut Take> {
        self.streams.get(id).filter(|stream| stream.state.accepts_messages())?;
        self.takes.get_mut(id)?.as_mut().filter(|take| take.direction() == direction)
    }

    /// Completes the messages of a direction that are due.
    pub(crate) fn complete_due(&mut self, direction: Direction, now: Instant) -> Vec<Completion> {
        self.takes_of(direction).flat_map(|take| take.complete_due(now)).collect()
    }

    /// Returns the notifications that wait for the guest.
    pub(crate) fn events(&mut self) -> &mut Events {
        for (id, (stream, take)) in self.streams.iter().zip(&mut self.takes).enumerate() {
            let xrun = take.as_mut().is_some_and(Take::has_xrun);
            if xrun && stream.params.is_some_and(|params| params.xruns) {
                self.events.xrun(id);
            }
        }
        &mut self.events
    }

    /// Returns the estimated time until a take of a direction needs service.
    pub(crate) fn next_due(&mut self, direction: Direction) -> Option<Duration> {
        self.takes_of(direction).filter_map(|take| take.next_due()).min()
    }

    /// Returns whether the driver need not notify the device of messages of a direction, because
    /// the next wake is soon and no take needs a message before.
    pub(crate) fn is_supplied(&mut self, direction: Direction) -> bool {
        let mut takes = self.takes_of(direction).peekable();
        takes.peek().is_some() && takes.all(|take| take.is_supplied())
    }

    /// Stops the takes of a direction because their queue stops, and undoes the acceptance of as
    /// many messages as `unpop` takes. The queue takes only the newest of its messages.
    pub(crate) fn suspend(
        &mut self,
        direction: Direction,
        now: Instant,
        mut unpop: impl FnMut(Message) -> Result<(), Message>,
    ) {
        for take in self.running(direction) {
            take.stop(now);
        }
        // The card does not know which take has the newest message of the queue.
        while self.takes_of(direction).any(|take| take.unpop(&mut unpop)) {}
    }

    /// Restarts the takes that [`suspend`](Self::suspend) stopped.
    pub(crate) fn resume(&mut self, direction: Direction, now: Instant) {
        for take in self.running(direction) {
            take.start(now);
        }
    }

    /// Completes all messages of a direction as if they were due. Audio to play is still played.
    pub(crate) fn flush(&mut self, direction: Direction) -> Vec<Completion> {
        self.takes_of(direction).flat_map(Take::flush).collect()
    }

    /// Returns the takes of a direction.
    fn takes_of(&mut self, direction: Direction) -> impl Iterator<Item = &mut Take> {
        self.takes.iter_mut().flatten().filter(move |take| take.direction() == direction)
    }

    /// Returns the takes of a direction whose streams are running.
    fn running(&mut self, direction: Direction) -> impl Iterator<Item = &mut Take> {
        let streams = self.streams.iter().zip(&mut self.takes);
        let running = streams
            .filter(move |(stream, _)| stream.direction == direction && stream.state == State::Running);
        running.filter_map(|(_, take)| take.as_mut())
    }
}
