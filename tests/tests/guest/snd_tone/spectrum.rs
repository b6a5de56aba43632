//! The frequencies in audio.

use std::f64::consts::TAU;

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// The number of bins on each side over which the window spreads a pure tone.
const LOBE: usize = 5;

/// The coefficients of the four-term Blackman-Harris window.
///
/// Outside its main lobe, a tone is attenuated by at least 92 dB (Harris 1978, "On the Use of
/// Windows for Harmonic Analysis with the Discrete Fourier Transform").
const WINDOW: [f64; 4] = [0.35875, -0.48829, 0.14128, -0.01168];

/// The strongest tone, and its distance to all other frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tone {
    /// The frequency in hertz.
    pub(super) frequency: f64,
    /// The level of the tone above the strongest other frequency, in decibels.
    pub(super) clearance: f64,
}

/// Returns the strongest tone in samples with a rate of `rate` in hertz.
pub(super) fn strongest_tone(samples: &[f64], rate: f64) -> Option<Tone> {
    let decibels = spectrum(samples);
    let peak = loudest(&decibels, |_| true)?;
    let other = loudest(&decibels, |bin| bin.abs_diff(peak) > LOBE)?;
    let bin =
        peak as f64 + offset(*decibels.get(peak.checked_sub(1)?)?, decibels[peak], *decibels.get(peak + 1)?);
    Some(Tone { frequency: bin * rate / samples.len() as f64, clearance: decibels[peak] - decibels[other] })
}

/// Returns the power of each frequency in decibels, relative to an arbitrary level.
fn spectrum(samples: &[f64]) -> Vec<f64> {
    let phase = TAU / samples.len() as f64;
    let weight = |at: usize| {
        (0..)
            .zip(WINDOW)
            .map(|(order, term)| term * (f64::from(order) * phase * at as f64).cos())
            .sum::<f64>()
    };
    let mut bins: Vec<Complex<f64>> =
        samples.iter().enumerate().map(|(at, sample)| Complex::new(sample * weight(at), 0.0)).collect();
    FftPlanner::new().plan_fft_forward(bins.len()).process(&mut bins);
    // The second half of the bins mirrors the first one.
    bins[..bins.len() / 2].iter().map(|bin| 10.0 * (bin.norm_sqr() + f64::MIN_POSITIVE).log10()).collect()
}

/// Returns the strongest of the bins that `among` accepts.
fn loudest(decibels: &[f64], among: impl Fn(usize) -> bool) -> Option<usize> {
    let bins = decibels.iter().enumerate().filter(|(bin, _)| among(*bin));
    bins.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(bin, _)| bin)
}

/// Returns the peak of the parabola through three neighbouring bins, relative to the middle one.
fn offset(before: f64, at: f64, after: f64) -> f64 {
    (before - after) / (2.0 * (before - 2.0 * at + after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 48_000.0;

    /// Returns samples of tones, each with its frequency and level.
    fn tones(tones: &[(f64, f64)]) -> Vec<f64> {
        let sample = |at: i32| {
            tones.iter().map(|(hertz, level)| level * (TAU * hertz * f64::from(at) / RATE).sin()).sum()
        };
        (0..1 << 15).map(sample).collect()
    }

    #[test]
    fn a_tone_between_two_bins_is_found_to_a_hundredth_of_a_hertz() {
        let found = strongest_tone(&tones(&[(997.3, 1.0)]), RATE);
        assert!(found.is_some_and(|tone| (tone.frequency - 997.3).abs() < 0.01), "{found:?}");
        assert!(found.is_some_and(|tone| tone.clearance > 90.0), "{found:?}");
    }

    #[test]
    fn a_second_tone_is_found_with_its_level() {
        let found = strongest_tone(&tones(&[(997.0, 1.0), (3000.0, 0.001)]), RATE);
        assert!(found.is_some_and(|tone| (tone.clearance - 60.0).abs() < 0.5), "{found:?}");
    }

    #[test]
    fn a_gap_of_half_a_millisecond_is_detected() {
        let whole = tones(&[(997.0, 1.0)]);
        let cut = [&whole[..10_000], &whole[10_024..]].concat();
        let found = strongest_tone(&cut, RATE);
        assert!(found.is_some_and(|tone| tone.clearance < 60.0), "{found:?}");
    }
}
