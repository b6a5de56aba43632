//! A sound device: frames that carry their own numbers (VIRTIO 1.4, 5.14 "Sound Device").

use ring_core::Segment;
use ring_core::driver::Slot;
use ring_core::memory::{Memory as _, RawMemory};

use crate::combination::Combination;
use crate::error::CheckError;
use crate::memory::Pool;
use crate::mmio::Device;
use crate::queue::{MIN_WRAPS, Plan, Queue};
use crate::report::Counts;

const CONTROL: Plan = Plan { index: 0, size: 64, requests: 16, segments: 2 };
/// Small enough for a short sound to pass around the ring several times.
const TRANSMIT: Plan = Plan { index: 2, size: 16, requests: 5, segments: 3 };

/// The number of frames in a period of 10 ms.
const PERIOD_FRAMES: u32 = 480;
const FRAME: u32 = 4;
const PERIOD: u32 = PERIOD_FRAMES * FRAME;
/// The number of periods with sound: half a second.
const SOUND_PERIODS: u32 = 50;
/// The end of what a device plays may remain in its host's buffers. So silence follows the sound.
/// The silence also separates the combinations in a recording.
const SILENT_PERIODS: u32 = 10;
const PERIODS: u32 = SOUND_PERIODS + SILENT_PERIODS;
/// The buffer size of the stream, in bytes: the largest amount in flight.
const BUFFER: u32 = TRANSMIT.requests as u32 * PERIOD;

/// The type of a control request.
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
/// The offset of the number of streams in the configuration space.
const STREAMS: usize = 4;
/// The size of `virtio_snd_pcm_info`, and the offset of the direction in it.
const INFO: u32 = 32;
const INFO_DIRECTION: u64 = 24;
const OUTPUT: u8 = 0;
/// Channels, format (S16), rate (48 kHz), padding.
const FORMAT: u32 = u32::from_le_bytes([2, 5, 7, 0]);

/// The size of the longest response: a status, followed by the information on one stream.
const RESPONSE: u32 = 4 + INFO;
const REQUEST: u32 = 24;
/// In the transmit queue, the stream's number precedes the samples, and status and latency follow
/// them.
const HEADER: u32 = 4;
const STATUS: u32 = 8;

/// Plays the counting pattern. The host's end checks what arrives.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Counts, CheckError> {
    device.negotiate(combination.features())?;
    let mut pool = Pool::new();
    let mut control_slots = [Slot::EMPTY; CONTROL.size as usize];
    let mut transmit_slots = [Slot::EMPTY; TRANSMIT.size as usize];
    let control = Queue::start(device, CONTROL, combination, &mut pool, &mut control_slots)?;
    let transmit = Queue::start(device, TRANSMIT, combination, &mut pool, &mut transmit_slots)?;
    device.set_driver_ok();

    let mut card = Card::new(device, control, transmit, &mut pool)?;
    let stream = card.output_stream()?;
    card.command(&[Command::SetParameters as u32, stream, BUFFER, PERIOD, 0, FORMAT])?;
    card.command(&[Command::Prepare as u32, stream])?;
    card.play(stream)?;
    card.command(&[Command::Stop as u32, stream])?;
    card.command(&[Command::Release as u32, stream])?;
    while card.control.wraps() < MIN_WRAPS {
        card.query_streams()?;
    }
    let Card { control, transmit, .. } = card;
    Counts::of(device, u64::from(PERIODS) * u64::from(PERIOD), &[&transmit, &control])
}

/// The device and its requests.
struct Card<'d, 's> {
    device: &'d mut Device,
    control: Queue<'s>,
    transmit: Queue<'s>,
    memory: RawMemory<'static>,
    requests: Segment,
    responses: Segment,
    periods: Segment,
}

impl<'d, 's> Card<'d, 's> {
    fn new(
        device: &'d mut Device,
        control: Queue<'s>,
        transmit: Queue<'s>,
        pool: &mut Pool,
    ) -> Result<Self, CheckError> {
        Ok(Self {
            device,
            control,
            transmit,
            memory: pool.memory().clone(),
            requests: pool.take(u32::from(CONTROL.requests) * REQUEST, 8)?,
            responses: pool.take(u32::from(CONTROL.requests) * RESPONSE, 8)?,
            periods: pool.take(u32::from(TRANSMIT.requests) * (HEADER + PERIOD + STATUS), 8)?,
        })
    }

    /// Returns the first output stream.
    fn output_stream(&mut self) -> Result<u32, CheckError> {
        let streams = self.device.config(STREAMS);
        for stream in 0..streams {
            self.command(&[Command::Info as u32, stream, 1, INFO])?;
            let mut direction = [0];
            self.memory.read_bytes(self.responses.address + 4 + INFO_DIRECTION, &mut direction)?;
            if direction == [OUTPUT] {
                return Ok(stream);
            }
        }
        Err(CheckError::Data { offset: 0, found: streams.into(), expected: u64::from(streams) + 1 })
    }

    /// Fills the control queue with requests for information on the first stream, and waits for all
    /// replies.
    fn query_streams(&mut self) -> Result<(), CheckError> {
        for request in 0..CONTROL.requests {
            self.send_request(request, &[Command::Info as u32, 0, 1, INFO])?;
        }
        for _ in 0..CONTROL.requests {
            self.finish_request()?;
        }
        Ok(())
    }

    /// Sends a control request and waits for its success.
    fn command(&mut self, words: &[u32]) -> Result<(), CheckError> {
        self.send_request(0, words)?;
        self.finish_request()
    }

    fn send_request(&mut self, request: u16, words: &[u32]) -> Result<(), CheckError> {
        let start = self.requests.address + u64::from(request) * u64::from(REQUEST);
        let mut len = 0;
        for word in words {
            self.memory.write_bytes(start + u64::from(len), &word.to_le_bytes())?;
            len += 4;
        }
        let response = if words.first() == Some(&(Command::Info as u32)) { RESPONSE } else { 4 };
        let response = Segment::new(self.response_address(request), response);
        self.control.add(request, &[Segment::new(start, len)], &[response])
    }

    fn finish_request(&mut self) -> Result<(), CheckError> {
        let used = self.control.next(self.device)?;
        self.is_ok(self.response_address(used.cookie))
    }

    fn response_address(&self, request: u16) -> u64 {
        self.responses.address + u64::from(request) * u64::from(RESPONSE)
    }

    fn is_ok(&self, address: u64) -> Result<(), CheckError> {
        let mut status = [0; 4];
        self.memory.read_bytes(address, &mut status)?;
        match u32::from_le_bytes(status) {
            OK => Ok(()),
            status => Err(CheckError::Status { status }),
        }
    }

    /// Plays all periods. The stream starts when its buffer is full.
    fn play(&mut self, stream: u32) -> Result<(), CheckError> {
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

    fn play_period(&mut self, request: u16, stream: u32, period: u32) -> Result<(), CheckError> {
        let [header, samples, status] = self.period(request);
        self.memory.write_bytes(header.address, &stream.to_le_bytes())?;
        for index in 0..PERIOD_FRAMES {
            let address = samples.address + u64::from(index * FRAME);
            self.memory.write_bytes(address, &frame(period, index))?;
        }
        self.memory.write_bytes(status.address, &[0; STATUS as usize])?;
        self.transmit.add(request, &[header, samples], &[status])
    }

    /// Returns the header, the samples and the status of a transmit request.
    fn period(&self, request: u16) -> [Segment; 3] {
        let header = self.periods.address + u64::from(request) * u64::from(HEADER + PERIOD + STATUS);
        let samples = header + u64::from(HEADER);
        let status = samples + u64::from(PERIOD);
        [Segment::new(header, HEADER), Segment::new(samples, PERIOD), Segment::new(status, STATUS)]
    }
}

/// Returns a frame of the counting pattern, which the end-to-end tests use, too. The frame carries
/// its number: 15 bits in the left sample, the other bits in the right sample, which is never 0.
fn frame(period: u32, index: u32) -> [u8; 4] {
    if period >= SOUND_PERIODS {
        return [0; 4];
    }
    let number = period * PERIOD_FRAMES + index;
    let left = number & 0x7fff;
    let right = 1000 + (number >> 15);
    (left | right << 16).to_le_bytes()
}
