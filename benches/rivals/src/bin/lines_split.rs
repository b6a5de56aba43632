//! The lines of a split queue alone.

use std::process::ExitCode;

use rivals::lines::Lines;
use rivals::{program, stub};

fn main() -> ExitCode {
    program::run(&Lines::<stub::Split>::new())
}
