//! Statistics of a take, for the log.

use std::fmt;
use std::time::Duration;

/// Statistics since PREPARE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    /// Number of underruns or overruns.
    pub(super) xruns: u64,
    latency: Latency,
}

/// The latencies that the guest was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Latency {
    min: Duration,
    max: Duration,
    sum: Duration,
    count: u32,
}

impl Stats {
    /// Adds the latency that the guest was told with one message.
    pub(super) fn add_latency(&mut self, latency: Duration) {
        let all = &mut self.latency;
        all.min = if all.count == 0 { latency } else { all.min.min(latency) };
        all.max = all.max.max(latency);
        // On overflow the sum stops, so the mean covers the samples before the overflow.
        if let (Some(sum), Some(count)) = (all.sum.checked_add(latency), all.count.checked_add(1)) {
            (all.sum, all.count) = (sum, count);
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { xruns, latency } = self;
        write!(f, "{xruns} xruns")?;
        if latency.count > 0 {
            let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
            let (min, max) = (ms(latency.min), ms(latency.max));
            let mean = ms(latency.sum / latency.count);
            write!(f, ", latency {min:.1} to {max:.1} ms, {mean:.1} ms on average")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_minimum_the_maximum_and_the_mean() {
        let mut stats = Stats { xruns: 2, ..Stats::default() };
        for ms in [20, 10, 60] {
            stats.add_latency(Duration::from_millis(ms));
        }
        let expected = "2 xruns, latency 10.0 to 60.0 ms, 30.0 ms on average";
        assert_eq!(stats.to_string(), expected);
    }

    #[test]
    fn a_summary_without_messages_has_no_latency() {
        assert_eq!(Stats::default().to_string(), "0 xruns");
    }

    #[test]
    fn the_longest_latencies_are_counted_without_overflow() {
        let mut stats = Stats::default();
        (0..3).for_each(|_| stats.add_latency(Duration::MAX));
        assert_eq!(stats.latency.count, 1);
    }
}
