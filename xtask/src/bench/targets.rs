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

/// The benchmark of the fence that a decision about a notification contains.
const FENCE: &str = "no queue: a store, a fence, a load";

/// What the reasons of missed instruction counts are.
const PARTS: &str = "The reasons for missed counts name parts of the count: instructions of ring-core, \
    read off callgrind's listing.";

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
    let fence = median(FENCE, "split").map_or(String::new(), |took| {
        format!(
            "\n\nA decision about a notification needs a full fence between a store and a load. The fence \
             alone takes {took:.1} ns here, and 1.7 ns on the machine of the targets."
        )
    });
    format!("{PARTS} {rings}{fence}")
}

/// Returns the table of the targets.
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
        let met = |reached: f64| if sign == "≥" { reached >= limit } else { reached <= limit };
        let verdict = match reached {
            Some((reached, _)) if met(reached) => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        let by = reached.map_or("", |(_, by)| by);
        let own = own.map_or(String::new(), |own| format!(", {own:.1} of them own"));
        let needs_reason = verdict == "missed" || (reached.is_none() && self.case.ends_with(", far"));
        let why = needs_reason.then(|| match self.limit {
            Limit::Time(_) => reasons.time(self.case, self.implementation).unwrap_or_default(),
            _ => reasons.of(self.group, self.case, self.implementation, by),
        });
        vec![
            format!("{} {}", self.group, self.case),
            self.implementation.to_owned(),
            format!("{sign} {limit} {unit}"),
            reached.map_or(String::new(), |(reached, _)| format!("{reached:.2} {unit}{own}")),
            if by == self.implementation { String::new() } else { by.to_owned() },
            verdict.to_owned(),
            why.unwrap_or_default(),
        ]
    }
}

impl Limit {
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
        let verdict = |limit, reached| {
            target("g", "c", SPLIT, limit).row(Some((reached, SPLIT)), None, NOTHING)[5].clone()
        };
        assert_eq!(verdict(Limit::Share(0.9), 0.95), "met");
        assert_eq!(verdict(Limit::Ratio(0.9), 0.95), "missed");
    }
}
