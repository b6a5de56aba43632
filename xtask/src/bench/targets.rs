//! The targets of ring-core and isolation-host, and the values that were reached.

use super::counted::Counted;
use super::reasons::Reasons;
use super::samples::Benchmark;
use super::summary::{self, Measured};
use super::table::Table;

/// A limit, and the quantity that it limits.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// All instructions for each request.
    Instructions(f64),
    /// The median in nanoseconds for each request.
    Time(f64),
    /// The ratio to the baseline.
    Ratio(f64),
    /// The ratio to the best other virtqueue.
    Others(f64),
    /// The smallest part of the baseline's throughput.
    Share(f64),
    /// The nanoseconds in addition to the baseline's time.
    More(f64),
}

/// A limit on an implementation in a case.
#[derive(Debug, Clone, Copy)]
struct Target {
    group: &'static str,
    case: &'static str,
    implementation: &'static str,
    limit: Limit,
}

const SPLIT: &str = "ring-core split";
const PACKED: &str = "ring-core packed";
/// A device that uses `serve`. If a target names no style of calls, the fastest style counts.
const SPLIT_SERVE: &str = "ring-core split, serve";
const PACKED_SERVE: &str = "ring-core packed, serve";
const TO_DEVICE: &str = "to the device";
const TO_GUEST: &str = "to the guest";
const FORWARDED: &str = "through isolation-host";
const DRIVER_DECIDES: &str = "driver decides, none due";
const DEVICE_DECIDES: &str = "device decides, none due";

/// The reason of a target between far processors on a machine whose processors are seldom far.
const NO_FAR: &str = "ring-core and another virtqueue were not both measured between far processors";

/// The three processes take turns, so that another load on the machine slows all of them down.
const ONE_PROCESSOR: &str = "disk on one processor";

const fn target(
    group: &'static str,
    case: &'static str,
    implementation: &'static str,
    limit: Limit,
) -> Target {
    Target { group, case, implementation, limit }
}

const fn instructions(case: &'static str, implementation: &'static str, limit: f64) -> Target {
    target("throughput", case, implementation, Limit::Instructions(limit))
}

const TARGETS: [Target; 41] = [
    instructions("both/1", SPLIT, 175.0),
    instructions("both/1", PACKED, 200.0),
    instructions("both/1", SPLIT_SERVE, 150.0),
    instructions("both/1", PACKED_SERVE, 170.0),
    instructions("both/3", SPLIT, 420.0),
    instructions("both/3", PACKED, 520.0),
    instructions("both/3-indirect", SPLIT, 700.0),
    instructions("both/3-indirect", PACKED, 720.0),
    instructions("driver/1", SPLIT, 95.0),
    instructions("driver/1", PACKED, 125.0),
    instructions("driver/3", SPLIT, 200.0),
    instructions("driver/3", PACKED, 270.0),
    instructions("device/1", SPLIT_SERVE, 72.0),
    instructions("device/1", PACKED_SERVE, 100.0),
    instructions("device/3", SPLIT, 250.0),
    instructions("device/3", PACKED, 340.0),
    instructions("device/3-indirect", SPLIT, 330.0),
    instructions("device/3-indirect", PACKED, 370.0),
    target("throughput", "both/1", SPLIT_SERVE, Limit::Time(8.0)),
    target("throughput", "both/1", PACKED_SERVE, Limit::Time(11.0)),
    target("cross_thread", "batches of 32, near", SPLIT, Limit::Ratio(2.0)),
    target("cross_thread", "batches of 32, near", PACKED, Limit::Ratio(2.8)),
    target("cross_thread", "one at a time, near", SPLIT, Limit::Ratio(1.6)),
    target("cross_thread", "one at a time, near", PACKED, Limit::Ratio(1.5)),
    target("cross_thread", "one at a time, far", SPLIT, Limit::Others(1.0)),
    target("cross_thread", "one at a time, far", PACKED, Limit::Others(1.0)),
    target("notify", "split", DRIVER_DECIDES, Limit::More(2.0)),
    target("notify", "split", DEVICE_DECIDES, Limit::More(2.0)),
    target("notify", "packed", DRIVER_DECIDES, Limit::More(2.0)),
    target("notify", "packed", DEVICE_DECIDES, Limit::More(2.0)),
    target("copy", "4 KiB", TO_DEVICE, Limit::Share(0.9)),
    target("copy", "4 KiB", TO_GUEST, Limit::Share(0.9)),
    target("copy", "64 KiB", TO_DEVICE, Limit::Share(0.9)),
    target("copy", "64 KiB", TO_GUEST, Limit::Share(0.9)),
    target("copy", "1 MiB", TO_DEVICE, Limit::Share(0.9)),
    target("copy", "1 MiB", TO_GUEST, Limit::Share(0.9)),
    target(ONE_PROCESSOR, "4 KiB, depth 32, null", FORWARDED, Limit::Share(0.5)),
    target(ONE_PROCESSOR, "64 KiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.85)),
    target(ONE_PROCESSOR, "1 MiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.7)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, tmpfs", FORWARDED, Limit::Ratio(1.6)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, null", FORWARDED, Limit::Ratio(1.6)),
];

/// What the reasons of missed instruction counts are.
const PARTS: &str = "The reasons for missed counts name the parts of ring-core's own instructions, which were \
    read off callgrind's listing.";

/// What the reasons for missed decisions mean.
const FENCES: &str = "A decision about a notification needs a full fence between a store and a load. The \
    store, the fence and the load together take 1.7 ns on the machine of the targets.";

/// Returns the known reasons for the missed targets.
pub(super) fn explanation(benchmarks: &[Benchmark]) -> String {
    let median = |name: &str, case: &str| {
        benchmarks.iter().find(|it| it.case == case && it.implementation == name).map(|it| it.time.median)
    };
    let rings = median(summary::RINGS, "both/1").map_or(String::new(), |took| {
        format!(
            "The targets in nanoseconds for bursts are for a machine on which {} take 2.7 ns for a request. \
             Here they take {took:.1} ns.",
            summary::RINGS
        )
    });
    format!("{PARTS} {rings}\n\n{FENCES}")
}

/// What the table says of a missed target whose reason is not known.
pub(super) const UNEXPLAINED: &str = "not explained:";

/// Returns the table of the targets. The table marks a missed target as unexplained if no reason is
/// known, or if the parts of its count were read off a different program.
pub(super) fn verdicts(benchmarks: &[Benchmark], counted: &[Counted]) -> Table {
    let mut table = Table::new(&["what", "implementation", "target", "reached", "by", "", "reason"]);
    for target in &TARGETS {
        let reached = target.reached(benchmarks, counted);
        let own = reached.and_then(|(_, by)| target.own(by, counted));
        table.rows.push(target.row(reached, own, Reasons { benchmarks, counted }));
    }
    table
}

impl Target {
    /// Returns the value of the limited quantity and the implementation that reached it, if the
    /// quantity was measured.
    fn reached<'a>(&self, benchmarks: &'a [Benchmark], counted: &'a [Counted]) -> Option<(f64, &'a str)> {
        let of_case = |it: &&Benchmark| it.group == self.group && it.case == self.case;
        let exact = || benchmarks.iter().filter(of_case).find(|it| it.implementation == self.implementation);
        let own = |measured: &[Measured<'a>]| summary::ours(measured, self.case, self.implementation);
        let value = |it: Measured<'a>| (it.value, it.name);
        match self.limit {
            Limit::Instructions(_) => own(&summary::instructions(counted)).map(value),
            Limit::Time(_) => own(&summary::times(benchmarks, self.group)).map(value),
            Limit::Ratio(_) => {
                let ours = own(&summary::ratios(benchmarks, self.group)).map(value);
                ours.or_else(|| exact().map(|it| (it.ratio.median, it.implementation.as_str())))
            }
            Limit::Others(_) => {
                let ratios = summary::ratios(benchmarks, self.group);
                let (own, other) = own(&ratios).zip(summary::best_other(&ratios, self.case))?;
                Some((own.value / other.value, own.name))
            }
            Limit::Share(_) => exact().map(|it| (it.ratio.median.recip(), it.implementation.as_str())),
            Limit::More(_) => {
                let own = exact()?;
                let baseline =
                    benchmarks.iter().filter(of_case).find(|it| it.implementation == own.baseline)?;
                // The ratio compares times that were taken together, unlike two medians.
                Some(((own.ratio.median - 1.0) * baseline.time.median, own.implementation.as_str()))
            }
        }
    }

    /// Returns the implementation's own instructions, if the target limits instructions.
    fn own(&self, implementation: &str, counted: &[Counted]) -> Option<f64> {
        let is_limited = matches!(self.limit, Limit::Instructions(_));
        let of_target = |it: &&Counted| is_limited && it.case == self.case && it.name == implementation;
        counted.iter().find(of_target)?.own(counted)
    }

    fn row(&self, reached: Option<(f64, &str)>, own: Option<f64>, reasons: Reasons<'_>) -> Vec<String> {
        let (sign, limit, unit) = self.limit.parts();
        let by = reached.map_or("", |(_, by)| by);
        let verdict = match reached {
            Some((reached, _)) if self.limit.is_met(reached) => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        let why = match self.limit {
            _ if reached.is_none() && self.case.ends_with(", far") => Ok(NO_FAR.to_owned()),
            _ if verdict != "missed" => Ok(String::new()),
            Limit::Time(_) => reasons.time(self.group, self.case, self.implementation),
            _ => reasons.of(self.group, self.case, self.implementation, by),
        };
        let own = own.map_or(String::new(), |own| format!(", {own:.1} of them own"));
        vec![
            format!("{} {}", self.group, self.case),
            self.implementation.to_owned(),
            format!("{sign} {limit} {unit}"),
            reached
                .map_or(String::new(), |(reached, _)| format!("{} {unit}{own}", self.limit.digits(reached))),
            if by == self.implementation { String::new() } else { by.to_owned() },
            verdict.to_owned(),
            why.unwrap_or_else(|unknown| format!("{UNEXPLAINED} {unknown}")),
        ]
    }
}

impl Limit {
    /// Returns whether a value keeps to the limit.
    fn is_met(self, value: f64) -> bool {
        let (sign, limit, _) = self.parts();
        if sign == "≥" { value >= limit } else { value <= limit }
    }

    /// Returns a value with two decimal places. Returns more places if the digits would otherwise
    /// be on the other side of the limit.
    fn digits(self, value: f64) -> String {
        let mut texts = (2..=9).map(|places| format!("{value:.places$}"));
        let shows_verdict =
            |text: &String| text.parse().is_ok_and(|shown| self.is_met(shown) == self.is_met(value));
        texts.find(shows_verdict).unwrap_or_else(|| value.to_string())
    }

    /// Returns the comparison, the number and the unit.
    const fn parts(self) -> (&'static str, f64, &'static str) {
        match self {
            Self::Instructions(limit) => ("≤", limit, "instructions"),
            Self::Time(limit) => ("≤", limit, "ns"),
            Self::Ratio(limit) => ("≤", limit, "× the baseline"),
            Self::Others(limit) => ("≤", limit, "× the best other virtqueue"),
            Self::Share(limit) => ("≥", limit, "of the baseline"),
            Self::More(limit) => ("≤", limit, "ns more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Reasons<'_> = Reasons { benchmarks: &[], counted: &[] };

    #[test]
    fn a_share_is_a_lower_limit_and_a_ratio_an_upper_one() {
        assert!(Limit::Share(0.9).is_met(0.95));
        assert!(!Limit::Ratio(0.9).is_met(0.95));
    }

    #[test]
    fn a_value_has_enough_digits_to_show_the_verdict() {
        assert_eq!(Limit::Share(0.9).digits(0.899_64), "0.8996");
        assert_eq!(Limit::Share(0.9).digits(0.904), "0.90");
        assert_eq!(Limit::Ratio(1.6).digits(1.601), "1.601");
    }

    #[test]
    fn a_row_says_that_a_missed_target_has_no_reason() {
        let row = |limit, reached| target("g", "c", SPLIT, limit).row(reached, None, NOTHING);
        assert_eq!(row(Limit::Ratio(0.9), Some((0.85, SPLIT)))[5], "met");
        assert_eq!(row(Limit::Ratio(0.9), None)[5], "not measured");
        assert!(row(Limit::Ratio(0.9), Some((0.95, SPLIT)))[6].starts_with(UNEXPLAINED));
        assert!(row(Limit::Time(0.9), Some((0.95, SPLIT)))[6].starts_with(UNEXPLAINED));
    }
}
