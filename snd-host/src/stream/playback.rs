//! A take that plays.

use std::fmt;
use std::time::{Duration, Instant};

use tracing::info;

use super::high_water::HighWater;
use super::message::Message;
use super::pacer::{MAX_UNNOTIFIED, Pacer};
use super::pending::Pending;
use super::stats::Stats;
use crate::audio::{AudioOutput, Ending, Output};
use crate::limits::MAX_LATENCY_MS;
use crate::pcm::Params;
use crate::wire::playback_ring_bytes;

/// A take that plays. A message is completed when its audio counts as played.
///
/// All decisions are made here and in the types below, from the time that the caller passes and
/// from the progress of the output. A simulation runs them with messages and an output of its own.
#[derive(Debug)]
pub(crate) struct Playback<M = Message, O = Output> {
    stream: usize,
    params: Params,
    output: O,
    pacer: Pacer,
    pending: Pending<M>,
    /// The number of frames that the guest considers played because their messages were returned
    /// early. Such frames are played late rather than dropped.
    early: u64,
    /// The largest number of frames by which playback can be behind the guest. A larger delay is
    /// not told to the guest, because the report of the audio process is then wrong.
    max_delay: u64,
    stats: Stats,
    xruns: HighWater,
}

impl<M, O: AudioOutput> fmt::Display for Playback<M, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, output, stats, pending, .. } = self;
        let sink = if output.is_live() { "open" } else { "not open" };
        write!(f, "{params}, {} frames, {stats}, {} frames dropped, ", pending.end(), output.dropped())?;
        write!(f, "{pending}, sink {sink}")
    }
}

impl<M, O: AudioOutput> Playback<M, O> {
    /// Creates a take of stream number `stream` that plays through `output`.
    pub(crate) fn new(stream: usize, params: Params, output: O) -> Self {
        Self {
            stream,
            params,
            output,
            pacer: Pacer::new(&params),
            pending: Pending::new(params),
            early: 0,
            max_delay: max_delay(&params),
            stats: Stats::default(),
            xruns: HighWater::default(),
        }
    }

    /// Accepts a message with `bytes` bytes of audio, which `read` reads one part after the other.
    ///
    /// Refuses the message if `read` returns false, if `bytes` is not a positive number of whole
    /// frames, or if it exceeds the guest's buffer together with the pending messages.
    pub(crate) fn accept(
        &mut self,
        message: M,
        bytes: u64,
        now: Instant,
        mut read: impl FnMut(&mut [u8]) -> bool,
    ) -> Result<(), M> {
        // The time up to now must not count for audio that arrives only now.
        self.advance(now);
        // An underrun is known only now that there is more audio; until now it could be the end.
        let underrun = self.pacer.runs() && self.pending.is_empty() && self.pending.end() > 0;
        let Some(new) = self.pending.new_bytes(bytes) else { return Err(message) };
        let known = usize::try_from(bytes - u64::from(new)).unwrap_or(usize::MAX);
        if !read(&mut vec![0; known]) || new > 0 && !self.output.write(new as usize, read) {
            return Err(message);
        }
        self.pending.accept(message, bytes)?;
        // The position may now move farther until the next update.
        self.publish(now);
        self.stats.xruns += u64::from(underrun);
        Ok(())
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.pacer.start(now);
        self.publish(now);
        self.output.start();
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        self.advance(now);
        self.pacer.stop();
        self.output.pause();
    }

    /// Updates the position, publishes it, and returns it.
    fn advance(&mut self, now: Instant) -> Duration {
        let heard = self.output.heard(now);
        let live = heard.live.then(|| self.params.duration(heard.frame));
        let position = self.pacer.advance(now, live, self.pending.given());
        let unheard = self.params.frames_in(position).saturating_sub(heard.frame);
        self.early = self.early.min(unheard);
        self.publish(now);
        position
    }

    /// Publishes the position. The audio process extrapolates it until the next call.
    fn publish(&mut self, now: Instant) {
        let [frames, limit] = [self.pacer.position(), self.pacer.limit(self.pending.given())]
            .map(|position| self.params.frames_in(position) - self.early);
        self.output.set_played(frames, limit, now);
    }

    /// Takes the messages out that are played by now, each with its latency in bytes.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(M, u32)> {
        let position = self.advance(now);
        let position = self.params.frames_in(position);
        let mut due = std::iter::from_fn(|| self.pending.pop_due(position)).peekable();
        if due.peek().is_none() {
            return Vec::new();
        }
        let heard = self.output.heard(now).frame;
        let frame_bytes = u64::from(self.params.frame_bytes());
        let completions = due.map(|next| {
            let latency = next.end.saturating_sub(heard).min(self.max_delay);
            self.stats.add_latency(self.params.duration(latency));
            let latency = latency.saturating_mul(frame_bytes);
            (next.message, u32::try_from(latency).unwrap_or(u32::MAX))
        });
        completions.collect()
    }

    /// Returns whether there was an underrun, or audio was dropped, since the last call.
    pub(crate) fn has_xrun(&mut self) -> bool {
        self.xruns.has_grown(self.stats.xruns + self.output.dropped())
    }

    /// Returns whether the audio of the pending messages lasts, even if the driver's next messages
    /// are looked at only when the next message is due.
    pub(crate) fn is_supplied(&self) -> bool {
        // A sink cannot have more than the guest's buffer.
        let buffer = self.params.duration(self.params.frames(self.params.buffer_bytes.into()));
        let enough = self.output.low().min(buffer / 2);
        self.next_due().is_some_and(|due| due <= MAX_UNNOTIFIED) && self.pending.after_next() >= enough
    }

    /// Returns the estimated time until the next message is played.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.pending.next_due().and_then(|position| self.pacer.time_until(position))
    }

    /// Undoes the acceptance of the newest message. Returns whether `unpop` took a message.
    ///
    /// The audio of the message stays, and is not played twice when the message is popped again.
    pub(crate) fn unpop(&mut self, unpop: impl FnOnce(M) -> Result<(), M>) -> bool {
        self.pending.unpop(unpop)
    }

    /// Takes all messages out as if they were played. Their audio stays.
    pub(crate) fn flush(&mut self) -> Vec<(M, u32)> {
        let skipped = self.pacer.skip_to(self.params.duration(self.pending.pending_end()));
        self.early += self.params.frames_in(skipped);
        std::iter::from_fn(|| self.pending.pop()).map(|next| (next.message, 0)).collect()
    }

    /// Ends the take.
    ///
    /// If all messages count as played, their audio is still heard. Otherwise the audio that the
    /// sink has not taken yet is dropped.
    pub(crate) fn end(mut self) -> Vec<(M, u32)> {
        let ending = if self.pending.is_empty() { Ending::Drain } else { Ending::Cut };
        if self.pending.end() > 0 {
            let (stream, frames, dropped) = (self.stream, self.pending.end(), self.output.dropped());
            info!(stream, frames, dropped, ?ending, "released: {}", self.stats);
        }
        let messages = self.flush();
        self.output.end(ending);
        messages
    }
}

/// Returns the largest number of frames that the ring and the sink can hold together.
fn max_delay(params: &Params) -> u64 {
    let ring = playback_ring_bytes(params.buffer_bytes, params.rate * params.frame_bytes());
    params.frames(ring) + params.frames_in(Duration::from_millis(MAX_LATENCY_MS.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Heard;
    use crate::pcm::tests::s16_stereo;

    /// The output of an audio process that says that nothing is ever heard.
    struct Deaf;

    impl AudioOutput for Deaf {
        fn write(&mut self, bytes: usize, mut read: impl FnMut(&mut [u8]) -> bool) -> bool {
            read(&mut vec![0; bytes])
        }

        fn low(&self) -> Duration {
            Duration::ZERO
        }

        fn start(&mut self) {}

        fn pause(&mut self) {}

        fn heard(&self, _now: Instant) -> Heard {
            Heard { frame: 0, live: true }
        }

        fn is_live(&self) -> bool {
            true
        }

        fn set_played(&mut self, _frames: u64, _limit: u64, _now: Instant) {}

        fn dropped(&self) -> u64 {
            0
        }

        fn end(self, _ending: Ending) {}
    }

    #[test]
    fn a_process_that_hears_nothing_holds_up_no_message_and_bounds_the_delay() {
        let params = s16_stereo();
        let (start, minute) = (Instant::now(), 60_000);
        let mut playback = Playback::new(0, params, Deaf);
        playback.start(start);
        let (mut played, mut largest) = (0u64, 0);
        for ms in 0..minute {
            let now = start + Duration::from_millis(ms);
            let _ = playback.accept((), params.period_bytes.into(), now, |_| true);
            for ((), delay) in playback.take_due(now) {
                played += u64::from(params.period_bytes);
                largest = largest.max(delay);
            }
        }
        let played = params.duration(params.frames(played));
        assert!(played >= Duration::from_millis(minute - 200), "{played:?}");
        let delay = params.duration(params.frames(largest.into()));
        assert!(delay <= Duration::from_secs(3), "{delay:?}");
    }
}
