//! The measured reasons for the targets that are missed.

use super::counted::Counted;
use super::samples::{Benchmark, Spread};
use super::summary::{RINGS, SUITE};

/// The measurements from which reasons are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reasons<'a> {
    pub(super) benchmarks: &'a [Benchmark],
    pub(super) counted: &'a [Counted],
}

impl Reasons<'_> {
    /// Returns the reason for a missed target of a format or of isolation-host, where `reached_by`
    /// is the fastest implementation; empty if no reason is known.
    pub(super) fn of(&self, group: &str, case: &str, implementation: &str, reached_by: &str) -> String {
        let is_packed = implementation.starts_with("ring-core packed");
        let known = match (group, case) {
            ("throughput", _) => return instructions(case, is_packed).unwrap_or_default(),
            ("cross_thread", case) if case.ends_with(", far") => "not measured between far processors",
            ("cross_thread", _) => return self.two_threads(case, is_packed, reached_by).unwrap_or_default(),
            ("notify", _) => "the fence alone takes longer than the target; see below",
            ("copy", _) => return self.copy(case, implementation).unwrap_or_default(),
            ("disk on one processor", "4 KiB, depth 1, tmpfs" | "4 KiB, depth 1, null") => {
                "a request takes four context switches instead of two"
            }
            ("disk on one processor", _) => "each byte is copied once more; `copy` has the times",
            _ => "",
        };
        known.to_owned()
    }

    /// Returns the reason for a missed time on one thread: how many instructions run in a
    /// nanosecond, and the suite's part of the time.
    pub(super) fn time(&self, case: &str, implementation: &str) -> Option<String> {
        let shape = case.split_once('/')?.1;
        let [ours, rings] = [implementation, RINGS].map(|name| {
            let all = self.counted.iter().find(|it| it.case == case && it.name == name)?.all;
            Some((all, all / self.median("throughput", case, name)?.0.median))
        });
        let ((all, rate), (_, of_rings)) = ours.zip(rings)?;
        let suite = self.median("throughput", &format!("neither/{shape}"), SUITE)?.0.median;
        Some(format!(
            "{all:.0} instructions, {rate:.1} in each ns; two rtrb rings run {of_rings:.1} in each ns, and the \
             suite alone takes {suite:.1} ns"
        ))
    }

    /// Compares with the cache lines that the format moves, and with one end on one thread.
    fn two_threads(&self, case: &str, is_packed: bool, reached_by: &str) -> Option<String> {
        let format = if is_packed { "packed" } else { "split" };
        let group = "cross_thread";
        let lines = self.median(group, case, &format!("lines of a {format} queue (no virtqueue)"))?.1.median;
        let rings = self.median(group, case, RINGS)?.0.median;
        let [driver, device] =
            ["driver/1", "device/1"].map(|case| self.median("throughput", case, reached_by));
        let (driver, device) = (driver?.0.median, device?.0.median);
        Some(format!(
            "the lines of the format alone take {lines:.2} × the baseline; on one thread, the driver end takes \
             {driver:.1} ns and the device end {device:.1} ns, and the baseline takes {rings:.1} ns here"
        ))
    }

    /// Compares with a plain copy in the same direction.
    fn copy(&self, case: &str, implementation: &str) -> Option<String> {
        let [plain, both] = [format!("memcpy {implementation}"), "memcpy".to_owned()]
            .map(|name| self.median("copy", case, &name).map(|it| it.0.median));
        let share = both? / plain?;
        Some(format!("in this direction alone, a plain copy reaches {share:.2} of the baseline"))
    }

    /// Returns the time and the ratio of a benchmark; the case may have the distance of the
    /// processors behind it.
    fn median(&self, group: &str, case: &str, implementation: &str) -> Option<(Spread, Spread)> {
        let found = self
            .benchmarks
            .iter()
            .find(|it| it.group == group && it.case == case && it.implementation == implementation)?;
        Some((found.time, found.ratio))
    }
}

/// The instructions for each request of ring-core by `serve`, and by bursts at the driver end, by
/// what they do: moves to and from the stack; the records of buffers and chains; the bounds of the
/// slots; the flags of the lap; the position in the ring.
///
/// The numbers are from callgrind's listings (`--dump-instr=yes`) of the programs.
const READ_OFF: [(&str, bool, [u32; 5]); 9] = [
    ("both/1", false, [21, 40, 11, 0, 0]),
    ("both/1", true, [24, 36, 14, 28, 16]),
    ("both/3", false, [48, 41, 23, 0, 0]),
    ("driver/1", false, [10, 28, 9, 0, 0]),
    ("driver/1", true, [15, 28, 9, 13, 10]),
    ("driver/3", false, [32, 27, 21, 0, 0]),
    ("driver/3", true, [24, 29, 10, 28, 20]),
    ("device/1", false, [11, 12, 2, 0, 0]),
    ("device/1", true, [9, 8, 5, 15, 6]),
];

fn instructions(case: &str, is_packed: bool) -> Option<String> {
    let (_, _, [stack, records, bounds, lap, position]) =
        READ_OFF.into_iter().find(|it| (it.0, it.1) == (case, is_packed))?;
    let mut text =
        format!("moves to and from the stack {stack}, records {records}, bounds of slots {bounds}");
    if is_packed {
        text += &format!(", flags of the lap {lap}, position {position}");
    }
    Some(text)
}
