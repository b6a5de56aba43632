//! A sound card: frames that carry their own numbers (VIRTIO 1.4, 5.14 "Sound Device").

use ring_core::Segment;
use ring_core::driver::Slot;
use ring_core::memory::{Memory as _, RawMemory};

use crate::combination::Combination;
use crate::failure::Failure;
use crate::memory::Pool;
use crate::mmio::Device;
use crate::queue::{ENOUGH, Plan, Queue};
use crate::report::Tally;

const CONTROL: Plan = Plan { index: 0, size: 64, requests: 16, segments: 2 };
/// So small that even a short sound goes around it several times.
const TRANSMIT: Plan = Plan { index: 2, size: 16, requests: 5, segments: 3 };

/// 10 ms.
const PERIOD_FRAMES: u32 = 480;
const FRAME: u32 = 4;
const PERIOD: u32 = PERIOD_FRAMES * FRAME;
/// Half a second of sound.
const SOUND_PERIODS: u32 = 50;
/// What a device plays last may stay in its host's buffers. So there is silence behind the sound, which
/// also divides the pieces of all combinations in a recording.
const SILENT_PERIODS: u32 = 10;
const PERIODS: u32 = SOUND_PERIODS + SILENT_PERIODS;
/// What a device may hold: no more is in flight.
const BUFFER: u32 = TRANSMIT.requests as u32 * PERIOD;

/// The type of a control request, with the fields of a stream's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Info = 0x100,
    SetParameters = 0x101,
    Prepare = 0x102,
    Release = 0x103,
    Start = 0x104,
    Stop = 0x105,
}

const OK: u32 = 0x8000;
/// Where the number of streams is in the configuration space.
const STREAMS: usize = 4;
/// `virtio_snd_pcm_info`, and where the direction is in it.
const INFO: u32 = 32;
const INFO_DIRECTION: u64 = 24;
const OUTPUT: u8 = 0;
/// Channels, format (S16), rate (48 kHz), padding.
const FORMAT: u32 = u32::from_le_bytes([2, 5, 7, 0]);

/// Answers begin with a status, so this is the longest.
const ANSWER: u32 = 4 + INFO;
const QUESTION: u32 = 24;
/// The transmit queue's: the stream's number before the samples, status and latency behind them.
const HEADER: u32 = 4;
const STATUS: u32 = 8;

/// Plays the counting pattern. Whether it arrives is the other end's to judge.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Tally, Failure> {
    device.negotiate(combination.features())?;
    let mut pool = Pool::new();
    let mut control_slots = [Slot::EMPTY; CONTROL.size as usize];
    let mut transmit_slots = [Slot::EMPTY; TRANSMIT.size as usize];
    let control = Queue::start(device, CONTROL, combination, &mut pool, &mut control_slots)?;
    let transmit = Queue::start(device, TRANSMIT, combination, &mut pool, &mut transmit_slots)?;
    device.go();

    let mut card = Card::new(device, control, transmit, &mut pool)?;
    let stream = card.output_stream()?;
    card.command(&[Command::SetParameters as u32, stream, BUFFER, PERIOD, 0, FORMAT])?;
    card.command(&[Command::Prepare as u32, stream])?;
    card.play(stream)?;
    card.command(&[Command::Stop as u32, stream])?;
    card.command(&[Command::Release as u32, stream])?;
    while card.control.wraps() < ENOUGH {
        card.ask_about_streams()?;
    }
    let Card { control, transmit, .. } = card;
    Tally::of(device, u64::from(PERIODS) * u64::from(PERIOD), &[&transmit, &control])
}

/// The card and its requests.
struct Card<'d, 's> {
    device: &'d mut Device,
    control: Queue<'s>,
    transmit: Queue<'s>,
    memory: RawMemory<'static>,
    questions: Segment,
    answers: Segment,
    periods: Segment,
}

impl<'d, 's> Card<'d, 's> {
    fn new(
        device: &'d mut Device,
        control: Queue<'s>,
        transmit: Queue<'s>,
        pool: &mut Pool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            device,
            control,
            transmit,
            memory: pool.memory().clone(),
            questions: pool.take(u32::from(CONTROL.requests) * QUESTION, 8)?,
            answers: pool.take(u32::from(CONTROL.requests) * ANSWER, 8)?,
            periods: pool.take(u32::from(TRANSMIT.requests) * (HEADER + PERIOD + STATUS), 8)?,
        })
    }

    /// The first stream that plays.
    fn output_stream(&mut self) -> Result<u32, Failure> {
        let streams = self.device.config(STREAMS);
        for stream in 0..streams {
            self.command(&[Command::Info as u32, stream, 1, INFO])?;
            let mut direction = [0];
            self.memory.read_bytes(self.answers.address + 4 + INFO_DIRECTION, &mut direction)?;
            if direction == [OUTPUT] {
                return Ok(stream);
            }
        }
        Err(Failure::Data { offset: 0, found: streams.into(), expected: u64::from(streams) + 1 })
    }

    /// Asks about the first stream with every control request once.
    fn ask_about_streams(&mut self) -> Result<(), Failure> {
        for request in 0..CONTROL.requests {
            self.ask(request, &[Command::Info as u32, 0, 1, INFO])?;
        }
        for _ in 0..CONTROL.requests {
            self.answered()?;
        }
        Ok(())
    }

    /// Gives a command and waits for its success.
    fn command(&mut self, words: &[u32]) -> Result<(), Failure> {
        self.ask(0, words)?;
        self.answered()
    }

    fn ask(&mut self, request: u16, words: &[u32]) -> Result<(), Failure> {
        let question = self.questions.address + u64::from(request) * u64::from(QUESTION);
        let mut len = 0;
        for word in words {
            self.memory.write_bytes(question + u64::from(len), &word.to_le_bytes())?;
            len += 4;
        }
        let answer = if words.first() == Some(&(Command::Info as u32)) { ANSWER } else { 4 };
        let answer = Segment::new(self.answer(request), answer);
        self.control.add(request, &[Segment::new(question, len)], &[answer])
    }

    fn answered(&mut self) -> Result<(), Failure> {
        let used = self.control.next(self.device)?;
        self.is_ok(self.answer(used.cookie))
    }

    fn answer(&self, request: u16) -> u64 {
        self.answers.address + u64::from(request) * u64::from(ANSWER)
    }

    fn is_ok(&self, address: u64) -> Result<(), Failure> {
        let mut status = [0; 4];
        self.memory.read_bytes(address, &mut status)?;
        match u32::from_le_bytes(status) {
            OK => Ok(()),
            status => Err(Failure::Status { status }),
        }
    }

    /// Plays all periods. The stream starts once its buffer is full.
    fn play(&mut self, stream: u32) -> Result<(), Failure> {
        let mut next = 0;
        for request in 0..TRANSMIT.requests {
            self.play_period(request, stream, next)?;
            next += 1;
        }
        self.transmit.publish(self.device);
        self.command(&[Command::Start as u32, stream])?;
        for _ in 0..PERIODS {
            let request = self.transmit.next(self.device)?.cookie;
            let [.., status] = self.period(request);
            self.is_ok(status.address)?;
            if next < PERIODS {
                self.play_period(request, stream, next)?;
                next += 1;
            }
        }
        Ok(())
    }

    fn play_period(&mut self, request: u16, stream: u32, period: u32) -> Result<(), Failure> {
        let [header, samples, status] = self.period(request);
        self.memory.write_bytes(header.address, &stream.to_le_bytes())?;
        for index in 0..PERIOD_FRAMES {
            let address = samples.address + u64::from(index * FRAME);
            self.memory.write_bytes(address, &frame(period, index))?;
        }
        self.memory.write_bytes(status.address, &[0; STATUS as usize])?;
        self.transmit.add(request, &[header, samples], &[status])
    }

    /// The header, the samples and the status of a transmit request.
    fn period(&self, request: u16) -> [Segment; 3] {
        let header = self.periods.address + u64::from(request) * u64::from(HEADER + PERIOD + STATUS);
        let samples = header + u64::from(HEADER);
        let status = samples + u64::from(PERIOD);
        [Segment::new(header, HEADER), Segment::new(samples, PERIOD), Segment::new(status, STATUS)]
    }
}

/// A frame of the sound is that of the end-to-end tests' counting pattern which carries its number: 15 bits
/// in the left sample, the rest in the right one, which never is 0.
fn frame(period: u32, index: u32) -> [u8; 4] {
    if period >= SOUND_PERIODS {
        return [0; 4];
    }
    let number = period * PERIOD_FRAMES + index;
    let left = number & 0x7fff;
    let right = 1000 + (number >> 15);
    (left | right << 16).to_le_bytes()
}
