//! The measured reasons for the targets that are missed.

/// Returns the reason for a missed target; empty if none is known.
pub(super) fn reason(group: &str, case: &str, implementation: &str) -> String {
    let is_packed = implementation.starts_with("ring-core packed");
    let known = match (group, case) {
        ("throughput", _) => return instructions(case, is_packed).unwrap_or_default(),
        ("cross_thread", case) if case.ends_with(", far") => "no two processors were far apart",
        ("cross_thread", "batches of 32, near") => {
            "at both ends, a request takes about seven times the instructions of rtrb"
        }
        ("cross_thread", _) => {
            "for each request, a descriptor, an entry and an index of each ring change hands; in an rtrb \
             ring, a slot and an index"
        }
        ("notify", _) => "the fence alone takes longer than the target; see below",
        ("copy", _) => "not found; the larger copies meet the target",
        ("disk on one processor", "4 KiB, depth 1, tmpfs" | "4 KiB, depth 1, null") => {
            "a request takes four context switches instead of two"
        }
        ("disk on one processor", _) => "each byte is copied once more; `copy` has the times",
        _ => "",
    };
    known.to_owned()
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
