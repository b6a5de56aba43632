//! The sound card: its streams, and what they play.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Chain, Reader};
use tracing::debug;

use crate::audio::Audio;
use crate::control::{self, Action, Answer, Change};
use crate::io::{self, Completion, Message};
use crate::playback::Playback;
use crate::stream::Stream;

/// How many streams there are. All of them play.
pub(crate) const STREAMS: u32 = 1;

/// The state of the whole card.
#[derive(Debug)]
pub(crate) struct Card {
    audio: Arc<Audio>,
    /// What the guest knows of each stream.
    streams: Vec<Stream>,
    /// What each stream plays.
    playbacks: Vec<Option<Playback>>,
}

impl Card {
    pub(crate) fn new(audio: Arc<Audio>) -> Self {
        let streams = (0..STREAMS).map(|_| Stream::default()).collect();
        let playbacks = (0..STREAMS).map(|_| None).collect();
        Self { audio, streams, playbacks }
    }

    /// How each stream is, in words.
    pub(crate) fn report(&self) -> Vec<String> {
        let streams = self.streams.iter().zip(&self.playbacks).enumerate();
        let report = streams.map(|(id, (stream, playback))| {
            let playback = playback.as_ref().map(|playback| format!(": {playback}"));
            format!("stream {id} {:?}{}", stream.state, playback.unwrap_or_default())
        });
        report.collect()
    }

    /// Forgets everything, as on a reset of the device. The guest does not wait for messages any more.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.audio.clone());
    }

    /// Answers a control request, and does what it asks for. Before the answer is sent, the messages have to
    /// be returned that come with it.
    pub(crate) fn request(&mut self, bytes: &[u8], room: u64, now: Instant) -> (Answer, Vec<Completion>) {
        let answer = control::answer(bytes, room, &mut self.streams);
        let completions = answer.action.map_or_else(Vec::new, |action| self.act(action, now));
        (answer, completions)
    }

    fn act(&mut self, Action { stream, change }: Action, now: Instant) -> Vec<Completion> {
        let Some(playback) = self.playbacks.get_mut(stream) else {
            return Vec::new();
        };
        let ended = match change {
            Change::Abandon | Change::Release => playback.take(),
            Change::Prepare(params) => playback.replace(Playback::new(&self.audio, stream, params)),
            Change::Start => {
                playback.iter_mut().for_each(|playback| playback.start(now));
                None
            }
            Change::Stop => {
                playback.iter_mut().for_each(|playback| playback.stop(now));
                None
            }
        };
        ended.map_or_else(Vec::new, Playback::end)
    }

    /// Takes a message with audio to play; hands it back if it is refused.
    pub(crate) fn play(
        &mut self,
        memory: &impl Memory,
        chain: Chain<'_>,
        now: Instant,
    ) -> Result<(), Completion> {
        let mut reader = Reader::new(memory, chain.readable());
        let stream = io::stream_id(&mut reader);
        let audio = stream
            .and_then(|stream| Some((self.playback(stream)?.room(), stream)))
            .and_then(|(room, stream)| Some((io::payload(&mut reader, room)?, stream)));
        let message = Message::new(chain);
        let result = match audio {
            Some((audio, stream)) => match self.playback(stream) {
                Some(playback) => playback.accept(message, &audio, now),
                None => Err(message),
            },
            None => Err(message),
        };
        result.map_err(|message| {
            debug!(stream, "message refused");
            message.failed()
        })
    }

    /// The playback of a stream that takes messages.
    fn playback(&mut self, stream: usize) -> Option<&mut Playback> {
        self.streams.get(stream).filter(|stream| stream.state.takes_messages())?;
        self.playbacks.get_mut(stream)?.as_mut()
    }

    /// The messages that are played by now.
    pub(crate) fn played(&mut self, now: Instant) -> Vec<Completion> {
        self.playbacks.iter_mut().flatten().flat_map(|playback| playback.played(now)).collect()
    }

    /// How long it takes until the next message is played.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.playbacks.iter().flatten().filter_map(Playback::next_due).min()
    }

    /// All messages, because their queue stops. Their audio is played all the same.
    pub(crate) fn hand_back(&mut self) -> Vec<Completion> {
        self.playbacks.iter_mut().flatten().flat_map(Playback::hand_back).collect()
    }
}
