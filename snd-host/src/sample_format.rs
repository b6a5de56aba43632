//! Sample formats: their names, sizes and values.

/// A sample format that a guest may choose.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// The code of the format in VIRTIO.
    pub code: u8,
    /// Size of a sample in bytes.
    pub sample_bytes: u8,
    /// The name of the format in GStreamer.
    pub gst_name: &'static str,
    /// The number of unused high bits that GStreamer has as low bits instead.
    pub headroom: u8,
    /// A sample of silence: 0, or the middle of the range for unsigned samples.
    pub silence: u64,
}

const fn format(code: u8, sample_bytes: u8, gst_name: &'static str) -> Format {
    Format { code, sample_bytes, gst_name, headroom: 0, silence: 0 }
}

const fn unsigned(code: u8, sample_bytes: u8, gst_name: &'static str, bits: u8) -> Format {
    Format { silence: 1 << (bits - 1), ..format(code, sample_bytes, gst_name) }
}

/// All linear formats (VIRTIO 1.4, 5.14.6.6 "PCM Control Messages", `VIRTIO_SND_PCM_FMT_*`).
///
/// Linux derives the largest buffer that it grants to applications from the largest sample, number
/// of channels and rate on offer. That is almost 2 MB, or 160 ms at the highest rate.
pub static FORMATS: [Format; 18] = [
    format(3, 1, "S8"),
    unsigned(4, 1, "U8", 8),
    format(5, 2, "S16LE"),
    unsigned(6, 2, "U16LE", 16),
    format(7, 3, "S18LE"),
    unsigned(8, 3, "U18LE", 18),
    format(9, 3, "S20LE"),
    unsigned(10, 3, "U20LE", 20),
    format(11, 3, "S24LE"),
    unsigned(12, 3, "U24LE", 24),
    // The next four have their 20 or 24 bits in the low end of four bytes.
    Format { headroom: 4, ..format(13, 4, "S24_32LE") },
    Format { headroom: 4, ..unsigned(14, 4, "U24_32LE", 20) },
    format(15, 4, "S24_32LE"),
    unsigned(16, 4, "U24_32LE", 24),
    format(17, 4, "S32LE"),
    unsigned(18, 4, "U32LE", 32),
    format(19, 4, "F32LE"),
    format(20, 8, "F64LE"),
];

impl Format {
    /// Mixes a sample into another one, whose share is `share` of `all`.
    pub(crate) fn mix(&self, old: &[u8], new: &mut [u8], share: usize, all: usize) {
        // A transition has far less than 2^52 frames.
        let share = share as f64 / all as f64;
        let mixed = self.value(old).mul_add(1.0 - share, self.value(new) * share);
        new.copy_from_slice(&self.sample(mixed)[..new.len()]);
    }

    /// Returns the value of a sample; silence is 0.
    fn value(&self, sample: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        bytes[..sample.len()].copy_from_slice(sample);
        let bits = u64::from_le_bytes(bytes);
        match self.gst_name {
            "F32LE" => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            "F64LE" => f64::from_bits(bits),
            // Samples have at most 32 bits, which a number of 53 bits holds.
            _ if self.silence > 0 => (bits & self.mask()) as f64 - self.silence as f64,
            _ => {
                let unused = u64::BITS - self.bits();
                ((bits << unused).cast_signed() >> unused) as f64
            }
        }
    }

    /// Returns the bytes of a sample with a value, and zeros up to eight bytes.
    #[expect(clippy::cast_possible_truncation, reason = "the value is between those of two samples")]
    fn sample(&self, value: f64) -> [u8; 8] {
        match self.gst_name {
            "F32LE" => {
                let [a, b, c, d] = (value as f32).to_le_bytes();
                [a, b, c, d, 0, 0, 0, 0]
            }
            "F64LE" => value.to_le_bytes(),
            _ => (value.round() as i64).wrapping_add(self.silence.cast_signed()).to_le_bytes(),
        }
    }

    /// Returns the number of bits in a sample of integers.
    const fn bits(&self) -> u32 {
        match self.code {
            3 | 4 => 8,
            5 | 6 => 16,
            7 | 8 => 18,
            9 | 10 | 13 | 14 => 20,
            11 | 12 | 15 | 16 => 24,
            _ => 32,
        }
    }

    const fn mask(&self) -> u64 {
        (1 << self.bits()) - 1
    }
}

#[cfg(test)]
impl Format {
    /// Returns the lowest and the highest sample.
    pub(crate) fn extremes(&self) -> (Vec<u8>, Vec<u8>) {
        let half = (1u64 << (self.bits() - 1)) as f64;
        let (low, high) = if self.gst_name.starts_with('F') { (-1.0, 1.0) } else { (-half, half - 1.0) };
        let sample = |value: f64| self.sample(value)[..self.sample_bytes.into()].to_vec();
        (sample(low), sample(high))
    }

    /// Returns the distance of two samples.
    pub(crate) fn distance(&self, one: &[u8], other: &[u8]) -> f64 {
        (self.value(one) - self.value(other)).abs()
    }
}
