//! The measured reasons for the targets that are missed.

use anyhow::{Context as _, Result, bail};

use super::counted::Counted;
use super::samples::{Benchmark, Spread};
use super::summary::{RINGS, SUITE};

/// The benchmark of the fence that a decision about a notification contains.
const FENCE: &str = "no queue: a store, a fence, a load";

/// The measurements from which reasons are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reasons<'a> {
    pub(super) benchmarks: &'a [Benchmark],
    pub(super) counted: &'a [Counted],
}

impl Reasons<'_> {
    /// Returns the reason for a missed target of a format or of isolation-host, where `reached_by`
    /// is the fastest implementation.
    ///
    /// # Errors
    ///
    /// If no reason is known, or the parts of a count were read off another program.
    pub(super) fn of(
        &self,
        group: &str,
        case: &str,
        implementation: &str,
        reached_by: &str,
    ) -> Result<String> {
        let is_packed = implementation.starts_with("ring-core packed");
        let reason = match group {
            "throughput" => return self.instructions(case, is_packed, reached_by),
            "cross_thread" => self.two_threads(case, is_packed, reached_by),
            "notify" => self.fence(case),
            "copy" => self.copy(case, implementation),
            "disk on one processor" => self.disk(case, implementation),
            _ => None,
        };
        reason.with_context(|| no_reason(group, case, implementation))
    }

    /// Returns the reason for a missed time on one thread: how many instructions run in a
    /// nanosecond, and the suite's part of the time.
    ///
    /// # Errors
    ///
    /// If a part of the reason was not measured.
    pub(super) fn time(&self, group: &str, case: &str, implementation: &str) -> Result<String> {
        self.rates(case, implementation).with_context(|| no_reason(group, case, implementation))
    }

    fn rates(&self, case: &str, implementation: &str) -> Option<String> {
        let shape = case.split_once('/')?.1;
        let [ours, rings] = [implementation, RINGS].map(|name| {
            let all = self.counted.iter().find(|it| it.case == case && it.name == name)?.all;
            Some((all, all / self.median("throughput", case, name)?.0.median))
        });
        let ((all, rate), (_, of_rings)) = ours.zip(rings)?;
        let suite = self.median("throughput", &format!("neither/{shape}"), SUITE)?.0.median;
        Some(format!(
            "{all:.0} instructions at {rate:.1} per ns; two rtrb rings run at {of_rings:.1} instructions per ns, and \
             the suite alone takes {suite:.1} ns"
        ))
    }

    /// Compares with moving the cache lines of the format, and with one end on one thread.
    fn two_threads(&self, case: &str, is_packed: bool, reached_by: &str) -> Option<String> {
        let format = if is_packed { "packed" } else { "split" };
        let group = "cross_thread";
        let lines = self.median(group, case, &format!("lines of a {format} queue (no virtqueue)"))?.1.median;
        let rings = self.median(group, case, RINGS)?.0.median;
        let [driver, device] =
            ["driver/1", "device/1"].map(|case| self.median("throughput", case, reached_by));
        let (driver, device) = (driver?.0.median, device?.0.median);
        Some(format!(
            "moving only the cache lines of the format takes {lines:.2} × the baseline, which takes {rings:.1} ns; on \
             one thread, the driver end takes {driver:.1} ns and the device end {device:.1} ns"
        ))
    }

    /// Returns the time of what every decision about a notification contains.
    fn fence(&self, case: &str) -> Option<String> {
        let Spread { low, median, high } = self.median("notify", case, FENCE)?.0;
        Some(format!(
            "a store, a full fence and a load alone take {median:.1} ns (80 % between {low:.1} and {high:.1} ns)"
        ))
    }

    /// Compares with one copy of the request's bytes, or with a request without isolation-host.
    fn disk(&self, case: &str, implementation: &str) -> Option<String> {
        let group = "disk on one processor";
        let [direct, forwarded] = ["direct", implementation].map(|name| self.median(group, case, name));
        let (direct, forwarded) = (direct?.0.median / 1000.0, forwarded?.0.median / 1000.0);
        let (size, rest) = case.split_once(", ")?;
        if rest.starts_with("depth 1,") {
            return Some(format!(
                "a request takes {direct:.1} µs without isolation-host; its work, and waking one more process in \
                 both directions, take {:.1} µs",
                forwarded - direct
            ));
        }
        let copy = self.median("copy", size, "to the guest")?.0.median / 1000.0;
        Some(format!(
            "a request takes {forwarded:.1} µs instead of {direct:.1} µs, and one more copy of its bytes takes \
             {copy:.1} µs (`copy`)"
        ))
    }

    /// Compares with a plain copy in the same direction.
    fn copy(&self, case: &str, implementation: &str) -> Option<String> {
        // The ratio compares times that were taken together, unlike two medians.
        let share = self.median("copy", case, &format!("memcpy {implementation}"))?.1.median.recip();
        Some(format!("in this direction alone, a plain copy reaches {share:.2} of the baseline"))
    }

    /// Returns the parts of a count.
    fn instructions(&self, case: &str, is_packed: bool, reached_by: &str) -> Result<String> {
        let read = READ_OFF.iter().find(|it| (it.case, it.is_packed) == (case, is_packed));
        let counted = self.counted.iter().find(|it| it.case == case && it.name == reached_by);
        let own = counted.and_then(|it| it.own(self.counted));
        let (read, own) = read.zip(own).with_context(|| no_reason("throughput", case, reached_by))?;
        read.text(own)
    }

    /// Returns the time and the ratio of a benchmark.
    fn median(&self, group: &str, case: &str, implementation: &str) -> Option<(Spread, Spread)> {
        let found = self
            .benchmarks
            .iter()
            .find(|it| it.group == group && it.case == case && it.implementation == implementation)?;
        Some((found.time, found.ratio))
    }
}

/// Returns the message about a missed target without a reason.
fn no_reason(group: &str, case: &str, implementation: &str) -> String {
    format!(
        "no reason is known why {implementation} misses its target in {group} {case}; add one to {}",
        file!()
    )
}

/// The parts of a count, as they were read off callgrind's listing (`--dump-instr=yes`).
struct ReadOff {
    case: &'static str,
    is_packed: bool,
    /// All of ring-core's own instructions in the program that was listed.
    own: f64,
    /// The instructions by what they do: moves to and from the stack; the records of buffers and
    /// chains; the bounds of the slots; the flags of the lap, with the first descriptor of a batch;
    /// the position in the ring.
    parts: [u32; 5],
}

/// How far a count may be from the count of the program that was listed.
const READ_OFF_TOLERANCE: f64 = 0.5;

const fn read_off(case: &'static str, is_packed: bool, own: f64, parts: [u32; 5]) -> ReadOff {
    ReadOff { case, is_packed, own, parts }
}

/// The instructions for each request of ring-core by `serve`, and by bursts at the driver end.
const READ_OFF: [ReadOff; 9] = [
    read_off("both/1", false, 140.6, [21, 40, 11, 0, 0]),
    read_off("both/1", true, 169.7, [21, 42, 14, 28, 19]),
    read_off("both/3", false, 383.7, [48, 41, 23, 0, 0]),
    read_off("driver/1", false, 96.3, [10, 28, 9, 0, 0]),
    read_off("driver/1", true, 114.6, [12, 34, 9, 13, 13]),
    read_off("driver/3", false, 208.3, [32, 27, 21, 0, 0]),
    read_off("driver/3", true, 247.8, [22, 36, 9, 25, 25]),
    read_off("device/1", false, 44.3, [11, 12, 2, 0, 0]),
    read_off("device/1", true, 55.1, [9, 8, 5, 15, 6]),
];

impl ReadOff {
    /// Returns the parts, if a program with `own` instructions is the one that was listed.
    fn text(&self, own: f64) -> Result<String> {
        let Self { case, is_packed, own: listed, parts } = self;
        if (own - listed).abs() > READ_OFF_TOLERANCE {
            let format = if *is_packed { "packed" } else { "split" };
            bail!(
                "the parts of {case} ({format}) were read off a program with {listed:.1} instructions of \
                 ring-core, and now there are {own:.1}; read the parts off again, and write them to {}",
                file!()
            );
        }
        let [stack, records, bounds, lap, position] = parts;
        let mut text =
            format!("moves to and from the stack {stack}, records {records}, bounds of slots {bounds}");
        if *is_packed {
            text += &format!(", flags of the lap {lap}, position {position}");
        }
        let other = own - f64::from(parts.iter().sum::<u32>());
        Ok(format!("{text}, all other {other:.0}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Table;
    use super::*;

    #[test]
    fn parts_that_were_read_off_another_program_are_refused() -> Result<()> {
        let parts = read_off("driver/1", true, 114.6, [12, 34, 9, 13, 13]);
        let text = "moves to and from the stack 12, records 34, bounds of slots 9, flags of the lap 13, \
                    position 13, all other 34";
        assert_eq!(parts.text(114.6)?, text);
        assert!(parts.text(112.6).is_err());
        Ok(())
    }

    #[test]
    fn the_parts_were_read_off_programs_with_the_accepted_counts() -> Result<()> {
        let accepted = Table::parse(include_str!("../../../benches/counts.txt"))?;
        for read in &READ_OFF {
            let format = if read.is_packed { "packed" } else { "split" };
            let name = format!("{format}_serve/{}", read.case);
            let own = accepted.own(&name).with_context(|| format!("no counts of {name}"))?;
            read.text(own)?;
            assert!(f64::from(read.parts.iter().sum::<u32>()) < own, "{name}: the parts exceed {own}");
        }
        Ok(())
    }

    #[test]
    fn a_missed_target_without_a_reason_is_an_error() {
        let nothing = Reasons { benchmarks: &[], counted: &[] };
        for group in ["throughput", "cross_thread", "notify", "copy", "disk on one processor", "other"] {
            assert!(nothing.of(group, "both/1", "ring-core split", "ring-core split").is_err(), "{group}");
        }
        assert!(nothing.time("throughput", "both/1", "ring-core split").is_err());
    }
}
