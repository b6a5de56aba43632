//! The sound card: its streams, and what they play and record.

mod control;
mod events;
mod topology;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Chain, Reader};
use tracing::debug;

use crate::audio::{Audio, Input, Level, Output};
use crate::spec::{FEATURE_CTLS, request};
use crate::stream::{self, Capture, Completion, Direction, Message, Playback, State, Stream};
use crate::waker::Waker;

use self::control::{Action, Change, Elements};
pub(crate) use self::control::{Answer, MAX_REQUEST, STATUS_BYTES};
use self::events::Events;
pub(crate) use self::topology::Topology;

/// The state of the whole card.
#[derive(Debug)]
pub(crate) struct Card {
    audio: Arc<Audio>,
    waker: Arc<Waker>,
    topology: Topology,
    /// What the guest knows of each stream.
    streams: Vec<Stream>,
    /// What each stream plays or records.
    stretches: Vec<Option<Stretch>>,
    /// How loud each stream is.
    levels: Vec<Arc<Level>>,
    elements: Elements,
    /// Whether the guest knows of the control elements.
    controls: bool,
    events: Events,
}

/// What a stream does from PREPARE to RELEASE.
#[derive(Debug)]
enum Stretch {
    Playback(Playback),
    Capture(Capture),
}

/// Messages to be returned, by the queue that they came from.
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
    /// A card whose inputs wake the event loop by `waker`.
    pub(crate) fn new(audio: Arc<Audio>, waker: Arc<Waker>, topology: Topology) -> Self {
        let streams = topology.streams();
        let stretches = streams.iter().map(|_| None).collect();
        let levels: Vec<Arc<Level>> = streams.iter().map(|_| Arc::default()).collect();
        let elements = Elements::new(&streams, &levels);
        let events = Events::default();
        Self { audio, waker, topology, streams, stretches, levels, elements, controls: false, events }
    }

    /// How each stream is, in words.
    pub(crate) fn report(&self) -> Vec<String> {
        let streams = self.streams.iter().zip(&self.stretches).enumerate();
        let report = streams.map(|(id, (stream, stretch))| {
            let stretch = match stretch {
                Some(Stretch::Playback(playback)) => format!(": {playback}"),
                Some(Stretch::Capture(capture)) => format!(": {capture}"),
                None => String::new(),
            };
            format!("stream {id} {:?} {:?}{stretch}", stream.direction, stream.state)
        });
        report.collect()
    }

    /// Forgets everything, as on a reset of the device. The guest does not wait for messages any more.
    pub(crate) fn reset(&mut self) {
        let controls = self.controls;
        *self = Self::new(self.audio.clone(), self.waker.clone(), self.topology);
        self.controls = controls;
    }

    /// Takes what was negotiated.
    pub(crate) fn set_features(&mut self, features: u64) {
        self.controls = self.topology.controls && features & FEATURE_CTLS != 0;
    }

    /// Answers a control request, and does what it asks for. Before the answer is sent, the messages have to
    /// be returned that come with it.
    pub(crate) fn request(&mut self, bytes: &[u8], room: u64, now: Instant) -> (Answer, Completions) {
        if self.controls
            && let Some(code @ request::CTL_INFO..=request::TLV_COMMAND) = control::code(bytes)
        {
            let (answer, changed) = self.elements.answer(code, bytes, room);
            changed.into_iter().for_each(|id| self.events.value_changed(id));
            return (answer, Completions::default());
        }
        let answer = control::answer(bytes, room, self.topology, &mut self.streams);
        let completions = answer.action.map_or_else(Completions::default, |action| self.act(action, now));
        (answer, completions)
    }

    fn act(&mut self, Action { stream: id, change }: Action, now: Instant) -> Completions {
        let (Some(stream), Some(stretch)) = (self.streams.get(id), self.stretches.get_mut(id)) else {
            return Completions::default();
        };
        let direction = stream.direction;
        let ended = match change {
            Change::Abandon | Change::Release => stretch.take(),
            Change::Prepare(params) => {
                let level = self.levels.get(id).filter(|_| self.controls).cloned();
                stretch.replace(match direction {
                    Direction::Output => {
                        let output = Output::new(&self.audio, id, params, level);
                        Stretch::Playback(Playback::new(id, params, output))
                    }
                    Direction::Input => {
                        let input = Input::new(&self.audio, &self.waker, id, params, level);
                        Stretch::Capture(Capture::new(id, params, input))
                    }
                })
            }
            Change::Start => {
                stretch.iter_mut().for_each(|stretch| stretch.start(now));
                None
            }
            Change::Stop => {
                stretch.iter_mut().for_each(|stretch| stretch.stop(now));
                None
            }
        };
        Completions::of(direction, ended.map_or_else(Vec::new, Stretch::end))
    }

    /// Takes a message with audio to play, or one that asks for recorded audio; hands it back if it is refused.
    pub(crate) fn take(
        &mut self,
        direction: Direction,
        memory: &impl Memory,
        chain: Chain<'_>,
        now: Instant,
    ) -> Result<(), Completion> {
        let mut reader = Reader::new(memory, chain.readable());
        let id = stream::stream_id(&mut reader);
        let result = match (direction, id.and_then(|id| self.taking(id))) {
            (Direction::Output, Some(Stretch::Playback(playback))) => {
                // What cannot be had is refused as nothing is.
                let audio = stream::payload(&mut reader, playback.room()).unwrap_or_default();
                playback.accept(Message::to_play(chain), &audio, now)
            }
            (Direction::Input, Some(Stretch::Capture(capture))) => capture.accept(Message::new(chain), now),
            _ => Err(Message::new(chain)),
        };
        result.map_err(|message| {
            debug!(stream = id, "message refused");
            message.failed()
        })
    }

    /// What a stream does, if it takes messages now.
    fn taking(&mut self, id: usize) -> Option<&mut Stretch> {
        self.streams.get(id).filter(|stream| stream.state.takes_messages())?;
        self.stretches.get_mut(id)?.as_mut()
    }

    /// The messages of a direction that are over by now.
    pub(crate) fn over(&mut self, direction: Direction, now: Instant) -> Vec<Completion> {
        let over = self.stretches.iter_mut().flatten().flat_map(|stretch| match (direction, stretch) {
            (Direction::Output, Stretch::Playback(playback)) => playback.played(now),
            (Direction::Input, Stretch::Capture(capture)) => capture.recorded(now),
            _ => Vec::new(),
        });
        over.collect()
    }

    /// What the guest is to be told unasked.
    pub(crate) fn events(&mut self) -> &mut Events {
        for (id, (stream, stretch)) in self.streams.iter().zip(&mut self.stretches).enumerate() {
            let xrun = stretch.as_mut().is_some_and(Stretch::has_xrun);
            if xrun && stream.params.is_some_and(|params| params.xruns) {
                self.events.xrun(id);
            }
        }
        &mut self.events
    }

    /// How long it takes until the next message of a direction is over.
    pub(crate) fn next_due(&self, direction: Direction) -> Option<Duration> {
        let due = self.stretches.iter().flatten().filter_map(|stretch| match (direction, stretch) {
            (Direction::Output, Stretch::Playback(playback)) => playback.next_due(),
            (Direction::Input, Stretch::Capture(capture)) => capture.next_due(),
            _ => None,
        });
        due.min()
    }

    /// Holds all streams of a direction, because their queue stops, and gives back their messages, as far as `give`
    /// takes them: the newest of all can be given back.
    pub(crate) fn suspend(
        &mut self,
        direction: Direction,
        now: Instant,
        mut give: impl FnMut(Message) -> Result<(), Message>,
    ) {
        self.running(direction).for_each(|stretch| stretch.stop(now));
        // Nobody knows whose message is the newest.
        while self.stretches.iter_mut().flatten().any(|stretch| match (direction, stretch) {
            (Direction::Output, Stretch::Playback(playback)) => playback.give_back(&mut give),
            (Direction::Input, Stretch::Capture(capture)) => capture.give_back(&mut give),
            _ => false,
        }) {}
    }

    /// Goes on after [`suspend`](Self::suspend).
    pub(crate) fn resume(&mut self, direction: Direction, now: Instant) {
        self.running(direction).for_each(|stretch| stretch.start(now));
    }

    /// What is played or recorded now.
    fn running(&mut self, direction: Direction) -> impl Iterator<Item = &mut Stretch> {
        let streams = self.streams.iter().zip(&mut self.stretches);
        let running = streams
            .filter(move |(stream, _)| stream.direction == direction && stream.state == State::Running);
        running.filter_map(|(_, stretch)| stretch.as_mut())
    }

    /// All messages of a direction, as if they were over. Audio to play is played all the same.
    pub(crate) fn hand_back(&mut self, direction: Direction) -> Vec<Completion> {
        let all = self.stretches.iter_mut().flatten().flat_map(|stretch| match (direction, stretch) {
            (Direction::Output, Stretch::Playback(playback)) => playback.hand_back(),
            (Direction::Input, Stretch::Capture(capture)) => capture.hand_back(),
            _ => Vec::new(),
        });
        all.collect()
    }
}

impl Stretch {
    fn start(&mut self, now: Instant) {
        match self {
            Self::Playback(playback) => playback.start(now),
            Self::Capture(capture) => capture.start(now),
        }
    }

    fn stop(&mut self, now: Instant) {
        match self {
            Self::Playback(playback) => playback.stop(now),
            Self::Capture(capture) => capture.stop(now),
        }
    }

    fn has_xrun(&mut self) -> bool {
        match self {
            Self::Playback(playback) => playback.has_xrun(),
            Self::Capture(capture) => capture.has_xrun(),
        }
    }

    fn end(self) -> Vec<Completion> {
        match self {
            Self::Playback(playback) => playback.end(),
            Self::Capture(capture) => capture.end(),
        }
    }
}
