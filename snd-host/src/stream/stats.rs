//! What a stretch of audio was like, for whoever reads the log.

use std::fmt;
use std::time::Duration;

/// Counted from PREPARE on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// How often the stream ran and the guest had given too little.
    pub(crate) xruns: u64,
    latency: Latency,
}

/// How far what is heard was behind what the guest was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Latency {
    least: Duration,
    most: Duration,
    sum: Duration,
    count: u32,
}

impl Stats {
    /// Takes in what the guest was told with one message.
    pub(crate) fn add_latency(&mut self, latency: Duration) {
        let all = &mut self.latency;
        all.least = if all.count == 0 { latency } else { all.least.min(latency) };
        all.most = all.most.max(latency);
        // At its largest it stays, and the mean goes on being of the first so many.
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
            let (least, most) = (ms(latency.least), ms(latency.most));
            let mean = ms(latency.sum / latency.count);
            write!(f, ", latency {least:.1} to {most:.1} ms, {mean:.1} ms on average")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_least_the_most_and_the_mean() {
        let mut stats = Stats { xruns: 2, ..Stats::default() };
        [20, 10, 60].into_iter().for_each(|ms| stats.add_latency(Duration::from_millis(ms)));
        let expected = "2 xruns, latency 10.0 to 60.0 ms, 30.0 ms on average";
        assert_eq!(stats.to_string(), expected);
    }

    #[test]
    fn what_was_never_played_has_no_latency() {
        assert_eq!(Stats::default().to_string(), "0 xruns");
    }

    #[test]
    fn the_longest_latencies_are_counted_without_overflow() {
        let mut stats = Stats::default();
        (0..3).for_each(|_| stats.add_latency(Duration::MAX));
        assert_eq!(stats.latency.count, 1);
    }
}
