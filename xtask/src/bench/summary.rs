//! The summary: ring-core compared with the best of the other virtqueues.

use super::counted::Counted;
use super::samples::Benchmark;
use super::table::Table;

/// One quantity of an implementation in a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) case: &'a str,
    pub(super) name: &'a str,
    pub(super) value: f64,
}

/// The two rings that are not a virtqueue.
pub(super) const RINGS: &str = "two rtrb rings (no virtqueue)";
/// The suite without a queue.
pub(super) const SUITE: &str = "empty pair (the suite alone)";
/// The measured implementations that are not virtqueues.
const NO_VIRTQUEUES: [&str; 6] = [
    RINGS,
    SUITE,
    "lines of a split queue (no virtqueue)",
    "lines of a packed queue (no virtqueue)",
    "two split stubs",
    "two packed stubs",
];
/// Other interfaces of ring-core, which the summary leaves out.
const VARIANTS: [&str; 2] = [", negotiated", " on vm-memory"];

/// Returns all instructions for each request.
pub(super) fn instructions(counted: &[Counted]) -> Vec<Measured<'_>> {
    counted.iter().map(|it| Measured { case: &it.case, name: &it.name, value: it.all }).collect()
}

/// Returns the medians of a group in nanoseconds.
pub(super) fn times<'a>(benchmarks: &'a [Benchmark], group: &str) -> Vec<Measured<'a>> {
    let of_group = benchmarks.iter().filter(|it| it.group == group);
    of_group.map(|it| Measured { case: &it.case, name: &it.implementation, value: it.time.median }).collect()
}

/// Returns the medians of a group as multiples of the baseline.
pub(super) fn ratios<'a>(benchmarks: &'a [Benchmark], group: &str) -> Vec<Measured<'a>> {
    let of_group = benchmarks.iter().filter(|it| it.group == group);
    of_group.map(|it| Measured { case: &it.case, name: &it.implementation, value: it.ratio.median }).collect()
}

/// Returns the smallest value of ring-core's queues of this format in a case, over all styles of
/// calls.
pub(super) fn ours<'a>(measured: &[Measured<'a>], case: &str, format: &str) -> Option<Measured<'a>> {
    let is_ours = |name: &str| {
        name.strip_prefix(format).is_some_and(|style| {
            (style.is_empty() || style.starts_with(", ")) && !VARIANTS.iter().any(|it| name.ends_with(it))
        })
    };
    least(measured.iter().filter(|it| it.case == case && is_ours(it.name)))
}

/// Returns the smallest value of the other virtqueues in a case.
pub(super) fn best_other<'a>(measured: &[Measured<'a>], case: &str) -> Option<Measured<'a>> {
    let is_other = |name: &str| !name.starts_with("ring-core") && !NO_VIRTQUEUES.contains(&name);
    least(measured.iter().filter(|it| it.case == case && is_other(it.name)))
}

fn least<'a, 'm>(measured: impl Iterator<Item = &'m Measured<'a>>) -> Option<Measured<'a>>
where
    'a: 'm,
{
    measured.copied().min_by(|a, b| a.value.total_cmp(&b.value))
}

/// Returns a row for each case in which ring-core's split queue was measured.
pub(super) fn table(measured: &[Measured<'_>], digits: usize) -> Table {
    let mut table = Table::new(&[
        "case",
        "ring-core split",
        "ring-core packed",
        "best other virtqueue",
        "which one",
        "other ÷ split",
        "two rtrb rings",
    ]);
    let number = |it: Option<Measured<'_>>| it.map_or(String::new(), |it| format!("{:.digits$}", it.value));
    let mut cases: Vec<&str> = Vec::new();
    for it in measured.iter().filter(|it| it.name.starts_with("ring-core split")) {
        if !cases.contains(&it.case) {
            cases.push(it.case);
        }
    }
    for case in cases {
        let (split, packed) =
            (ours(measured, case, "ring-core split"), ours(measured, case, "ring-core packed"));
        let (other, rings) =
            (best_other(measured, case), measured.iter().find(|it| it.case == case && it.name == RINGS));
        let ratio = other.zip(split).map(|(other, split)| format!("{:.2}", other.value / split.value));
        table.rows.push(vec![
            case.to_owned(),
            number(split),
            number(packed),
            number(other),
            other.map_or(String::new(), |other| other.name.to_owned()),
            ratio.unwrap_or_default(),
            number(rings.copied()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn measured(name: &str, value: f64) -> Measured<'_> {
        Measured { case: "both/1", name, value }
    }

    #[test]
    fn the_largest_ratio_is_against_the_best_other_virtqueue() {
        let all = [
            measured("ring-core split", 20.0),
            measured("ring-core split, serve", 10.0),
            measured("ring-core split, negotiated", 5.0),
            measured("virtio-drivers + virtio-queue", 50.0),
            measured("virtio-drivers + virtio-queue, iterating", 40.0),
            measured(RINGS, 3.0),
        ];
        let row = "| both/1 | 10 |  | 40 | virtio-drivers + virtio-queue, iterating | 4.00 | 3 |";
        assert_eq!(table(&all, 0).to_string().lines().last(), Some(row));
    }
}
