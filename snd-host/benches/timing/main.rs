//! Measures what snd-host does in real time, and prints a table.
//!
//! Run this benchmark on an idle machine with `cargo bench -p snd-host --bench timing`. It takes
//! about 40 s. Each figure is measured once and shown next to its target, whether it meets the
//! target or not. The benchmark is not part of `cargo test`, because a busy machine makes figures
//! worse without any fault in snd-host. The tests in `tests/guest` compare bytes, counts and order
//! instead.

mod delay;
mod lifecycle;
mod pauses;
mod period_ends;
mod player;
mod recordings;
mod report;
#[expect(dead_code, unused_imports, reason = "the tests need the rest")]
#[path = "../../tests/support/mod.rs"]
mod support;
mod told_delay;
mod wakes;

use report::Report;

fn main() {
    // Cargo passes `--bench`, and the filters of other harnesses; there is nothing to select here.
    let mut report = Report::default();
    if told_delay::is_chosen() {
        told_delay::measure(&mut report);
        return print!("{report}");
    }
    lifecycle::measure(&mut report);
    period_ends::measure(&mut report);
    delay::measure(&mut report);
    told_delay::measure(&mut report);
    recordings::measure(&mut report);
    pauses::measure(&mut report);
    wakes::measure(&mut report);
    print!("{report}");
}
