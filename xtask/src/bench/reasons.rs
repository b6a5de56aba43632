//! The measured reasons for the targets that are missed.

/// Returns the reason for a missed target; empty if none is known. The numbers of instructions are
/// read off callgrind's listing of the programs (`--dump-instr=yes`).
pub(super) fn reason(group: &str, case: &str, implementation: &str) -> &'static str {
    match (group, case) {
        ("throughput", case) => instructions(case, implementation.starts_with("ring-core packed")),
        ("cross_thread", "batches of 32, near") => {
            "each request writes and reads a descriptor, an available entry and a used entry, each on \
             lines of their own; a slot of rtrb is one line"
        }
        ("cross_thread", _) => {
            "for each request, the lines of the descriptor, of both rings and of both indices change \
             hands; in an rtrb ring, one slot and one index each way"
        }
        ("notify", _) => "the full fence alone takes longer than the target; see below",
        ("disk on one processor", _) => {
            "each request is copied, and a single one takes four context switches instead of two"
        }
        ("copy", _) => "the destination is not in the cache, and the copy is split at pages and blocks",
        _ => "",
    }
}

fn instructions(case: &str, is_packed: bool) -> &'static str {
    match (case, is_packed) {
        ("both/1", false) => {
            "21 moves to and from the stack, because both loops have more values than registers; the \
             driver's record of a buffer and its free list take 28, the bounds of the slots 11, the \
             suite 34"
        }
        ("both/1", true) => {
            "24 moves to and from the stack; the flags of the lap take 28, the driver's records 28, the \
             bounds of the slots 14, the end of the ring 16, the suite 34"
        }
        ("driver/1" | "driver/3", false) => {
            "13 moves to and from the stack in `add`, whose paths for one and for several segments share \
             a loop; the record of a buffer takes 9, the free list 9, the bounds of the slots 7, the \
             suite and the stub 24"
        }
        ("driver/1" | "driver/3", true) => {
            "16 moves to and from the stack; the flags of the lap take 14, the record of a buffer and the \
             free list 18, the suite and the stub 44"
        }
        ("device/1", false) => {
            "the counters of the queue stay in memory, 12; the bounds of the head and of its slot, 6; \
             the suite and the stub take 40"
        }
        ("device/1", true) => {
            "the flags of the lap take 14, the end of the ring 8, the bounds of the slot 4; the suite and \
             the stub take 52"
        }
        (_, true) => {
            "26 moves to and from the stack; each further descriptor compares its flags with the lap, and \
             its position with the end of the ring"
        }
        (_, false) => "the records of each chain, and moves to and from the stack",
    }
}
