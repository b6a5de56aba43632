//! The parameters of a stream, and conversions between bytes, frames and time.

use std::fmt;
use std::time::Duration;

use crate::limits::{MAX_BUFFER_BYTES, MAX_CHANNELS};
use crate::sample_format::{FORMATS, Format};
use crate::spec::request::PCM_SET_PARAMS;
use crate::spec::{PCM_FEATURE_XRUNS, PcmHeader, PcmSetParams};

/// Codes of frame rates, and the rates in frames per second (VIRTIO 1.4, 5.14.6.6 "PCM Control
/// Messages", `VIRTIO_SND_PCM_RATE_*`).
static RATES: [(u8, u32); 15] = [
    (0, 5_512),
    (1, 8_000),
    (2, 11_025),
    (3, 16_000),
    (4, 22_050),
    (5, 32_000),
    (6, 44_100),
    (7, 48_000),
    (8, 64_000),
    (9, 88_200),
    (10, 96_000),
    (11, 176_400),
    (12, 192_000),
    (14, 12_000),
    (15, 24_000),
];

/// Returns the bit map of the formats on offer.
pub(crate) fn formats() -> u64 {
    FORMATS.iter().fold(0, |bits, format| bits | 1 << format.code)
}

/// Returns the bit map of the rates on offer.
pub(crate) fn rates() -> u64 {
    RATES.iter().fold(0, |bits, (code, _)| bits | 1 << code)
}

/// The parameters of a stream: valid, and chosen by the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The sample format.
    pub format: &'static Format,
    /// Frames per second.
    pub rate: u32,
    /// Number of samples in a frame.
    pub channels: u8,
    /// Size of the guest's buffer in bytes.
    pub buffer_bytes: u32,
    /// Size of a period in bytes. The buffer is a multiple of it.
    pub period_bytes: u32,
    /// Whether the guest asks for notifications of underruns and overruns.
    pub xruns: bool,
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, rate, channels, .. } = self;
        write!(f, "{}, {channels} channels, {rate} Hz", format.gst_name)
    }
}

/// The reason why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamsError {
    #[error("format {0} is not offered")]
    Format(u8),
    #[error("rate {0} is not offered")]
    Rate(u8),
    #[error("{0} channels are not offered")]
    Channels(u8),
    #[error("features {0:#x} are not offered")]
    Features(u32),
    #[error("invalid sizes: a buffer of {buffer} bytes, periods of {period} bytes, frames of {frame} bytes")]
    Sizes { buffer: u32, period: u32, frame: u32 },
}

impl Params {
    /// What most guests play: S16 stereo at 48 kHz, with a buffer of 40 ms.
    pub const USUAL: Self = Self {
        format: &FORMATS[2],
        rate: 48_000,
        channels: 2,
        buffer_bytes: 7680,
        period_bytes: 1920,
        xruns: false,
    };

    /// Validates the parameters of a request.
    pub(crate) fn parse(request: &PcmSetParams) -> Result<Self, ParamsError> {
        let &PcmSetParams { channels, format, rate, .. } = request;
        let (_, rate) = *RATES.iter().find(|(code, _)| *code == rate).ok_or(ParamsError::Rate(rate))?;
        let format = FORMATS.iter().find(|known| known.code == format).ok_or(ParamsError::Format(format))?;
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(ParamsError::Channels(channels));
        }
        let features = request.features.get();
        if features & !PCM_FEATURE_XRUNS != 0 {
            return Err(ParamsError::Features(features));
        }
        let (buffer, period) = (request.buffer_bytes.get(), request.period_bytes.get());
        let xruns = features != 0;
        let params = Self { format, rate, channels, buffer_bytes: buffer, period_bytes: period, xruns };
        let frame = params.frame_bytes();
        let whole = period > 0 && period.is_multiple_of(frame) && buffer.is_multiple_of(period);
        if !whole || buffer == 0 || buffer > MAX_BUFFER_BYTES {
            return Err(ParamsError::Sizes { buffer, period, frame });
        }
        Ok(params)
    }

    /// Returns the request that sets these parameters for stream number `stream`.
    pub(crate) fn request(&self, stream: u32) -> PcmSetParams {
        let rate = RATES.iter().find(|(_, rate)| *rate == self.rate).map_or(u8::MAX, |(code, _)| *code);
        PcmSetParams {
            header: PcmHeader { code: PCM_SET_PARAMS.into(), stream_id: stream.into() },
            buffer_bytes: self.buffer_bytes.into(),
            period_bytes: self.period_bytes.into(),
            features: if self.xruns { PCM_FEATURE_XRUNS } else { 0 }.into(),
            channels: self.channels,
            format: self.format.code,
            rate,
            padding: 0,
        }
    }

    /// Returns the size of a sample in bytes.
    pub fn sample_bytes(&self) -> usize {
        self.format.sample_bytes.into()
    }

    /// Returns the size of a frame in bytes: one sample for each channel.
    pub const fn frame_bytes(&self) -> u32 {
        // No overflow: both factors are at most 8.
        self.format.sample_bytes as u32 * self.channels as u32
    }

    /// Returns a frame of silence.
    pub fn silence(&self) -> Vec<u8> {
        let sample = &self.format.silence.to_le_bytes()[..self.sample_bytes()];
        sample.repeat(self.channels.into())
    }

    /// Returns the number of whole frames in `bytes` bytes.
    pub const fn frames(&self, bytes: u64) -> u64 {
        bytes / self.frame_bytes() as u64
    }

    /// Returns the duration of `frames` frames, rounded up to nanoseconds.
    ///
    /// [`frames_in`](Self::frames_in) of the result is `frames` again.
    pub fn duration(&self, frames: u64) -> Duration {
        let nanos = (u128::from(frames) * NANOS).div_ceil(self.rate.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns the number of whole frames in `duration`.
    pub fn frames_in(&self, duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos() * u128::from(self.rate) / NANOS).unwrap_or(u64::MAX)
    }
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::limits::MAX_BYTES_PER_SECOND;

    /// S16 stereo at 48 kHz, in a buffer of 40 ms.
    pub(crate) fn s16_stereo() -> Params {
        Params::parse(&request()).unwrap()
    }

    /// U8 mono at 8 kHz.
    pub(crate) fn u8_mono(buffer_bytes: u32, period_bytes: u32) -> Params {
        let (buffer_bytes, period_bytes) = (buffer_bytes.into(), period_bytes.into());
        let (channels, format, rate) = (1, 4, 1);
        let request = PcmSetParams { buffer_bytes, period_bytes, channels, format, rate, ..request() };
        Params::parse(&request).unwrap()
    }

    /// Stereo at 48 kHz in every format.
    pub(crate) fn of_every_format() -> impl Iterator<Item = Params> {
        FORMATS.iter().map(|format| Params { format, ..s16_stereo() })
    }

    fn request() -> PcmSetParams {
        PcmSetParams {
            header: PcmHeader { code: 0x101.into(), stream_id: 0.into() },
            buffer_bytes: 7680.into(),
            period_bytes: 1920.into(),
            features: 0.into(),
            channels: 2,
            format: 5,
            rate: 7,
            padding: 0,
        }
    }

    #[test]
    fn no_parameters_exceed_the_largest_number_of_bytes_per_second() {
        let sample = FORMATS.iter().map(|format| u32::from(format.sample_bytes)).max();
        let rate = RATES.iter().map(|(_, rate)| *rate).max();
        let most = sample.zip(rate).map(|(sample, rate)| sample * rate * u32::from(MAX_CHANNELS));
        assert_eq!(most, Some(MAX_BYTES_PER_SECOND));
    }

    #[test]
    fn s16_stereo_at_48_khz_has_480_frames_of_4_bytes_in_10_ms() {
        let params = s16_stereo();
        assert_eq!((params.format.gst_name, params.rate, params.frame_bytes()), ("S16LE", 48_000, 4));
        assert_eq!(params.duration(480), Duration::from_millis(10));
    }

    #[test]
    fn a_code_is_accepted_exactly_if_it_is_offered() {
        for code in 0..=u8::MAX {
            let offered = |bits: u64| code < 64 && bits >> code & 1 == 1;
            // 1920 is a multiple of the size of each frame with one channel.
            let format = PcmSetParams { format: code, channels: 1, period_bytes: 1920.into(), ..request() };
            assert_eq!(Params::parse(&format).is_ok(), offered(formats()), "format {code}");
            assert_eq!(
                Params::parse(&PcmSetParams { rate: code, ..request() }).is_ok(),
                offered(rates()),
                "rate {code}"
            );
        }
    }

    #[test]
    fn sizes_that_do_not_divide_are_refused() {
        for (buffer, period) in
            [(0, 0), (7680, 0), (0, 1920), (7680, 1919), (7681, 1920), (2, 2), (u32::MAX - 3, 4)]
        {
            let bad = PcmSetParams { buffer_bytes: buffer.into(), period_bytes: period.into(), ..request() };
            assert_eq!(Params::parse(&bad), Err(ParamsError::Sizes { buffer, period, frame: 4 }));
        }
    }

    #[test]
    fn channels_and_features_that_are_not_offered_are_refused() {
        for channels in [0, 9, 255] {
            let bad = PcmSetParams { channels, ..request() };
            assert_eq!(Params::parse(&bad), Err(ParamsError::Channels(channels)));
        }
        let with_xruns = PcmSetParams { features: 16.into(), ..request() };
        assert!(Params::parse(&with_xruns).is_ok_and(|params| params.xruns));
        let bad = PcmSetParams { features: 8.into(), ..request() };
        assert_eq!(Params::parse(&bad), Err(ParamsError::Features(8)));
    }

    #[test]
    fn frames_survive_the_conversion_to_time_and_back_at_every_rate() {
        for (code, _) in RATES {
            let params = Params::parse(&PcmSetParams { rate: code, ..request() }).unwrap();
            for frames in [0, 1, 2, 3, 479, 44_101, 123_456_789_012] {
                assert_eq!(params.frames_in(params.duration(frames)), frames);
            }
        }
    }
}
