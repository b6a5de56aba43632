//! Two `rtrb` rings.

use std::process::ExitCode;

use rivals::program;
use rivals::rtrb::TwoRings;

fn main() -> ExitCode {
    program::run(&TwoRings)
}
