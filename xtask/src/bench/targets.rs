//! The targets of ring-core and isolation-host, and what was reached.

use anyhow::Result;

use super::counts;
use super::samples::Benchmark;
use super::table::Table;

/// A limit, and the quantity that it limits.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The median in nanoseconds for each request.
    Time(f64),
    /// The ratio to the baseline.
    Ratio(f64),
    /// The smallest part of the baseline's throughput.
    Share(f64),
    /// The nanoseconds above the baseline's.
    More(f64),
    /// The accepted instructions for each request.
    Instructions(f64),
}

/// A limit on a case, for each of the implementations.
#[derive(Debug, Clone, Copy)]
struct Target {
    group: &'static str,
    case: &'static str,
    implementations: &'static [&'static str],
    limit: Limit,
}

const FORMATS: &[&str] = &["ring-core split", "ring-core packed"];
const COPIES: &[&str] = &["to the device", "to the guest"];
const FORWARDED: &[&str] = &["through isolation-host"];
const DECISIONS: &[&str] = &["driver decides, none due", "device decides, none due"];

/// The three processes take turns, so that another load on the machine slows all of them down.
const ONE_PROCESSOR: &str = "disk on one processor";

const fn target(
    group: &'static str,
    case: &'static str,
    implementations: &'static [&'static str],
    limit: Limit,
) -> Target {
    Target { group, case, implementations, limit }
}

const TARGETS: [Target; 20] = [
    target("throughput", "both/1", FORMATS, Limit::Time(8.0)),
    target("throughput", "both/1", FORMATS, Limit::Instructions(90.0)),
    target("throughput", "both/3", FORMATS, Limit::Time(18.0)),
    target("throughput", "device/1", FORMATS, Limit::Time(4.0)),
    target("throughput", "device/3", FORMATS, Limit::Time(8.0)),
    target("throughput", "device/3-indirect", FORMATS, Limit::Time(9.0)),
    target("throughput", "driver/1", FORMATS, Limit::Time(4.0)),
    target("throughput", "driver/3", FORMATS, Limit::Time(8.0)),
    target("cross_thread", "one at a time", FORMATS, Limit::Ratio(1.2)),
    target("cross_thread", "batches of 32", FORMATS, Limit::Ratio(2.0)),
    target("notify", "split", DECISIONS, Limit::More(2.0)),
    target("notify", "packed", DECISIONS, Limit::More(2.0)),
    target("copy", "4 KiB", COPIES, Limit::Share(0.9)),
    target("copy", "64 KiB", COPIES, Limit::Share(0.9)),
    target("copy", "1 MiB", COPIES, Limit::Share(0.9)),
    target(ONE_PROCESSOR, "4 KiB, depth 32, null", FORWARDED, Limit::Share(0.5)),
    target(ONE_PROCESSOR, "64 KiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.8)),
    target(ONE_PROCESSOR, "1 MiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.6)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, tmpfs", FORWARDED, Limit::Ratio(1.7)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, null", FORWARDED, Limit::Ratio(1.7)),
];

/// The implementation on which the targets in nanoseconds are based, and its time then.
const PEERS: &str = "virtio-drivers + virtio-queue";
const PEERS_TOOK: f64 = 57.0;

/// The benchmark of the fence that a decision about a notification contains.
const FENCE: &str = "no queue: a store, a fence, a load";

/// What is known about ring-core's missed targets.
const INSTRUCTIONS: &str = "\
The use of the instructions was measured on copies of ring-core without some of its checks. Split \
and packed take 250 and 325 instructions for a request; 227 and 306 without bounds checks of shared \
memory; 214 and 292 also without bounds checks of slots; 196 and 271 also without checks of the \
peer's data. Four fifths are therefore not checks. They are the suite's own loops and sums (about \
50), and the interface: a cookie that is returned once, free descriptors in the order that an \
in-order queue needs, a token that completes one chain of one life of the queue, segments copied \
into the caller's array.";

/// What is known about the targets on two threads.
const TWO_THREADS: &str = "\
The results of two threads depend on the machine, which is virtual. On two days, the same program \
took between 1.0 and 2.0 times the time of two rtrb rings in batches (packed: 1.2 to 2.1), and \
between 0.8 and 1.1 times the time one at a time.";

/// What is known about isolation-host's missed targets.
const FORWARDING: &str = "\
A single request to a device that has nothing to do consists of context switches: two without \
isolation-host, four with isolation-host. With a file behind the device, the ratio is near its \
target: between 1.46 and 1.80 in seven runs on two days. Requests of 64 KiB at depth 32 reached \
between 0.61 and 1.02 of the baseline in seven runs, and the same program 0.66 and 0.98 within a \
minute. The data, the copy for the device and the copy for the guest are 6 MiB, three times the \
cache of one processor. The other caches are shared with other machines.";

/// Returns what is known about the missed targets.
pub(super) fn explanation(benchmarks: &[Benchmark]) -> String {
    let median = |is: fn(&Benchmark) -> bool| benchmarks.iter().find(|it| is(it)).map(|it| it.time.median);
    let peers = median(|it| it.case == "both/1" && it.implementation == PEERS);
    let machine = peers.map_or(String::new(), |took| {
        format!(
            "The targets in nanoseconds are for a machine on which {PEERS} takes {PEERS_TOOK} ns for a \
             request of one descriptor. Here that takes {took:.0} ns. "
        )
    });
    let fence = median(|it| it.group == "notify" && it.implementation == FENCE);
    let decision = fence.map_or(String::new(), |took| {
        format!(
            "\n\nA decision about a notification needs a full fence between a store and a load. The fence \
             alone takes {took:.1} ns here, and 1.7 ns on the machine of the targets."
        )
    });
    format!("{machine}{INSTRUCTIONS}{decision}\n\n{TWO_THREADS}\n\n{FORWARDING}")
}

/// Returns the table of the targets.
pub(super) fn verdicts(benchmarks: &[Benchmark]) -> Result<Table> {
    let accepted = counts::Table::accepted()?;
    let mut table = Table::new(&["case", "implementation", "target", "reached", ""]);
    for target in TARGETS {
        for implementation in target.implementations {
            let reached = target.reached(implementation, benchmarks, &accepted);
            table.rows.push(target.row(implementation, reached));
        }
    }
    Ok(table)
}

impl Target {
    /// Returns the limited quantity, if an implementation was measured.
    fn reached(&self, name: &str, benchmarks: &[Benchmark], accepted: &counts::Table) -> Option<f64> {
        let of_case = |it: &&Benchmark| it.group == self.group && it.case == self.case;
        let find = |name: &str| benchmarks.iter().filter(of_case).find(|it| it.implementation == name);
        match self.limit {
            Limit::Instructions(_) => {
                accepted.all(&format!("{}/{}", name.trim_start_matches("ring-core "), self.case))
            }
            Limit::Time(_) => Some(find(name)?.time.median),
            Limit::Ratio(_) => Some(find(name)?.ratio.median),
            Limit::Share(_) => Some(find(name)?.ratio.median.recip()),
            Limit::More(_) => {
                let own = find(name)?;
                // The ratio compares times that were taken together, unlike two medians.
                Some((own.ratio.median - 1.0) * find(&own.baseline)?.time.median)
            }
        }
    }

    fn row(&self, implementation: &str, reached: Option<f64>) -> Vec<String> {
        let (sign, limit, unit) = self.limit.parts();
        let met = |reached: f64| if sign == "≥" { reached >= limit } else { reached <= limit };
        let verdict = match reached {
            Some(reached) if met(reached) => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        vec![
            format!("{} {}", self.group, self.case),
            implementation.to_owned(),
            format!("{sign} {limit} {unit}"),
            reached.map_or(String::new(), |reached| format!("{reached:.2} {unit}")),
            verdict.to_owned(),
        ]
    }
}

impl Limit {
    /// Returns the comparison, the number and the unit.
    const fn parts(self) -> (&'static str, f64, &'static str) {
        match self {
            Self::Time(limit) => ("≤", limit, "ns"),
            Self::Ratio(limit) => ("≤", limit, "× the baseline"),
            Self::Share(limit) => ("≥", limit, "of the baseline"),
            Self::More(limit) => ("≤", limit, "ns more"),
            Self::Instructions(limit) => ("≤", limit, "instructions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_lower_limit_and_a_ratio_an_upper_one() {
        let verdict = |limit, reached| target("g", "c", FORMATS, limit).row("i", Some(reached))[4].clone();
        assert_eq!(verdict(Limit::Share(0.9), 0.95), "met");
        assert_eq!(verdict(Limit::Ratio(0.9), 0.95), "missed");
    }
}
