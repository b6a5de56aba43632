//! The instructions that the bench target `count` counts.

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

/// What the target counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// All programs.
    All,
    /// ring-core and the empty pair.
    Ours,
    /// One case, with 2 % more bursts than the output says.
    Planted,
}

/// The instructions of a program in a case, for each request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    /// The name of the program.
    pub(super) program: String,
    /// The name of the implementation.
    pub(super) name: String,
    /// The case, such as `both/1`.
    pub(super) case: String,
    /// The driver's functions, with the suite's loops.
    driver: f64,
    /// The device's function, with the suite's loop.
    device: f64,
    /// All instructions: both ends, and the code that calls them.
    pub(super) all: f64,
}

/// The program without a queue, whose instructions are the suite's.
const EMPTY_PAIR: &str = "empty_pair";

/// Runs the target.
pub(super) fn count(sh: &Shell, what: What) -> Result<Vec<Counted>> {
    let argument = match what {
        What::All => "all",
        What::Ours => "ours",
        What::Planted => "planted",
    };
    let count = cmd!(sh, "cargo bench --bench count -- {argument}");
    eprintln!("$ {count}");
    count.read()?.lines().map(parse).collect()
}

fn parse(line: &str) -> Result<Counted> {
    let malformed = || format!("the bench target `count` printed `{line}`, which is no row");
    let mut cells = line.split('\t');
    let mut cell = || cells.next().map(str::to_owned).with_context(malformed);
    let (program, name, case) = (cell()?, cell()?, cell()?);
    let counts: Vec<f64> = cells.filter_map(|cell| cell.parse().ok()).collect();
    let [submit, collect, device, all] = *counts.as_slice() else {
        return Err(anyhow::anyhow!(malformed()));
    };
    let case = case.trim_start_matches("throughput/").to_owned();
    Ok(Counted { program, name, case, driver: submit + collect, device, all })
}

impl Counted {
    /// Returns the implementation's own instructions in the ends that the case measures: without
    /// the suite's loops. The instructions of these loops are those of the empty pair in `counted`.
    pub(super) fn own(&self, counted: &[Self]) -> Option<f64> {
        let (ends, shape) = self.case.split_once('/')?;
        let suite = counted.iter().find(|it| {
            it.program == EMPTY_PAIR && it.case.split_once('/').is_some_and(|(_, other)| other == shape)
        })?;
        let (driver, device) = (self.driver - suite.driver, self.device - suite.device);
        match ends {
            "both" => Some(driver + device),
            "driver" => Some(driver),
            "device" => Some(device),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_instructions_are_subtracted_from_the_measured_ends() -> Result<()> {
        let lines = [
            "empty_pair\tempty pair\tthroughput/neither/1\t4.0\t10.0\t20.0\t35.0",
            "ring_core_split\tring-core split\tthroughput/both/1\t80.0\t50.0\t110.0\t245.0",
            "ring_core_split\tring-core split\tthroughput/driver/1\t80.0\t50.0\t9.0\t140.0",
            "ring_core_split\tring-core split\tthroughput/device/1\t1.0\t20.0\t110.0\t135.0",
            "ring_core_split\tring-core split\tthroughput/device/3\t1.0\t20.0\t110.0\t135.0",
        ];
        let counted: Vec<Counted> = lines.into_iter().map(parse).collect::<Result<_>>()?;
        let own: Vec<_> = counted.iter().map(|it| it.own(&counted)).collect();
        assert_eq!(own, [None, Some(206.0), Some(116.0), Some(90.0), None]);
        Ok(())
    }

    #[test]
    fn a_line_that_is_no_row_is_refused() {
        assert!(parse("ring_core_split\tring-core split\tthroughput/both/1\t80.0").is_err());
    }
}
