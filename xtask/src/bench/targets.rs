//! What ring-core is meant to reach, and whether it does.

use anyhow::Result;

use super::counts;
use super::report::Table;
use super::samples::Benchmark;

/// What is limited.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The median, in nanoseconds a request.
    Time(f64),
    /// The ratio to the yardstick.
    Ratio(f64),
    /// At least this part of what the yardstick does in the same time.
    Share(f64),
    /// The nanoseconds more than those of the yardstick.
    More(f64),
    /// Instructions of a request, as committed.
    Instructions(f64),
}

/// A target: the group and work that it is about, and of which contenders.
#[derive(Debug, Clone, Copy)]
struct Target {
    group: &'static str,
    work: &'static str,
    contenders: &'static [&'static str],
    limit: Limit,
}

const FORMATS: &[&str] = &["ring-core split", "ring-core packed"];
const COPIES: &[&str] = &["to the device", "to the guest"];
const FORWARDED: &[&str] = &["through isolation-host"];
const DECIDERS: &[&str] = &["driver decides, none due", "device decides, none due"];

/// Three processes that take turns: what another load on the machine cannot do to one of them alone.
const ONE_PROCESSOR: &str = "disk on one processor";

const fn target(
    group: &'static str,
    work: &'static str,
    contenders: &'static [&'static str],
    limit: Limit,
) -> Target {
    Target { group, work, contenders, limit }
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
    target("notify", "split", DECIDERS, Limit::More(2.0)),
    target("notify", "packed", DECIDERS, Limit::More(2.0)),
    target("copy", "4 KiB", COPIES, Limit::Share(0.9)),
    target("copy", "64 KiB", COPIES, Limit::Share(0.9)),
    target("copy", "1 MiB", COPIES, Limit::Share(0.9)),
    target(ONE_PROCESSOR, "4 KiB, depth 32, null", FORWARDED, Limit::Share(0.5)),
    target(ONE_PROCESSOR, "64 KiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.8)),
    target(ONE_PROCESSOR, "1 MiB, depth 32, tmpfs", FORWARDED, Limit::Share(0.6)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, tmpfs", FORWARDED, Limit::Ratio(1.7)),
    target(ONE_PROCESSOR, "4 KiB, depth 1, null", FORWARDED, Limit::Ratio(1.7)),
];

/// The peers that the times of the targets were set against, and what they took for the first, in nanoseconds.
const PEERS: &str = "virtio-drivers + virtio-queue";
const PEERS_TOOK: f64 = 57.0;

/// What there is to say of the targets of ring-core that are missed. The counts were made by removing the checks
/// from a copy, one kind after the other.
const SPENT: &str = "\
What the instructions of one request are spent on was found by removing checks from a copy of ring-core, one kind after \
the other: split and packed take 250 and 325 as they are, 227 and 306 without the bounds of shared memory, 214 and 292 \
without those of the slots either, and 196 and 271 when they no longer hold the other side to any rule. So four fifths \
are not checks. They are the suite's own loops and sums (about 50), and what the interface promises: a cookie that comes \
back once, descriptors that are free in the order in which an in-order queue needs them, a token that is good for one \
chain of one life of the queue, segments copied to where the caller wants them.";

/// What the fence in a decision is called that is timed by itself.
const FENCE: &str = "no queue: a store, a fence, a load";

/// What there is to say of the targets of isolation-host that are missed.
const COPIED: &str = "\
A request that is alone and for which the device has nothing to do is nothing but changes of process: two without \
isolation-host, four with it. From a file, which is what a disk has behind it, it is about at its target: between 1.46 and \
1.80 in seven runs of two days. Requests of 64 KiB at depth 32 reached between 0.61 and 1.02 of the yardstick's in seven \
runs, and one and the same program 0.66 and 0.98 within a minute: what is read, the copy for the device and the one for the \
guest are 6 MiB, three times a processor's own cache, and the rest of the caches is shared with other machines.";

/// What there is to say of the targets on two threads.
const TWO_THREADS: &str = "\
How two threads compare is the machine's affair, which is a virtual one: the same program took between 1.0 and 2.0 times \
what two rtrb rings take in batches on two days (packed: 1.2 to 2.1), and between 0.8 and 1.1 times one at a time.";

/// Why some targets are missed.
pub(super) fn explanation(benchmarks: &[Benchmark]) -> String {
    let peers = benchmarks
        .iter()
        .find(|benchmark| benchmark.work == "both/1" && benchmark.contender == PEERS)
        .map(|peers| peers.time.median);
    let machine = peers.map_or(String::new(), |took| {
        format!(
            "The times were set on a machine on which {PEERS} take {PEERS_TOOK} ns for one request of one descriptor; \
             here they take {took:.0} ns. "
        )
    });
    let fence = benchmarks
        .iter()
        .find(|benchmark| benchmark.group == "notify" && benchmark.contender == FENCE)
        .map(|fence| fence.time.median);
    let decision = fence.map_or(String::new(), |took| {
        format!(
            "\n\nA decision about a notification is a full fence between a store and a load, without which wake-ups \
             get lost. That alone takes {took:.1} ns here; where the target was set it took 1.7 ns."
        )
    });
    format!("{machine}{SPENT}{decision}\n\n{TWO_THREADS}\n\n{COPIED}")
}

/// What was reached of each target.
pub(super) fn verdicts(benchmarks: &[Benchmark]) -> Result<Table> {
    let accepted = counts::Table::accepted()?;
    let mut table = Table::new(&["work", "implementation", "target", "reached", ""]);
    for target in TARGETS {
        for contender in target.contenders {
            let found = |name: &str| {
                benchmarks.iter().find(|benchmark| {
                    benchmark.group == target.group
                        && benchmark.work == target.work
                        && benchmark.contender == name
                })
            };
            let count = || accepted.get(&count_name(contender, target.work));
            let (limit, reached) = match target.limit {
                Limit::Time(limit) => (limit, found(contender).map(|own| own.time.median)),
                Limit::Ratio(limit) => (limit, found(contender).map(|own| own.ratio.median)),
                Limit::Share(limit) => (limit, found(contender).map(|own| own.ratio.median.recip())),
                Limit::More(limit) => {
                    (limit, found(contender).and_then(|own| more(own, found(&own.yardstick)?)))
                }
                Limit::Instructions(limit) => (limit, count()),
            };
            let unit = target.limit.unit();
            let (sign, is_met): (_, fn(&f64, &f64) -> bool) = match target.limit {
                Limit::Share(_) => ("≥", f64::ge),
                _ => ("≤", f64::le),
            };
            let verdict = match reached {
                Some(reached) if is_met(&reached, &limit) => "met",
                Some(_) => "missed",
                None => "not measured",
            };
            table.rows.push(vec![
                format!("{} {}", target.group, target.work),
                (*contender).to_owned(),
                format!("{sign} {limit} {unit}"),
                reached.map_or(String::new(), |reached| format!("{reached:.2} {unit}")),
                verdict.to_owned(),
            ]);
        }
    }
    Ok(table)
}

/// By how many nanoseconds it takes longer than its yardstick. The ratio is of times taken together, and
/// so better than the difference of two medians.
fn more(own: &Benchmark, yardstick: &Benchmark) -> Option<f64> {
    let more = (own.ratio.median - 1.0) * yardstick.time.median;
    more.is_finite().then_some(more)
}

/// What the table of instructions calls this.
fn count_name(contender: &str, work: &str) -> String {
    format!("{}/{work}", contender.trim_start_matches("ring-core "))
}

impl Limit {
    const fn unit(self) -> &'static str {
        match self {
            Self::Time(_) => "ns",
            Self::Ratio(_) => "× the yardstick",
            Self::Share(_) => "of the yardstick's",
            Self::More(_) => "ns more",
            Self::Instructions(_) => "instructions",
        }
    }
}
