//! `cargo xtask storm`: random kills around isolation-host, under a load that compares each byte.

use anyhow::Result;
use clap::Parser;
use xshell::{Shell, cmd};

/// How long the storm lasts, and what is random in it.
#[derive(Debug, Parser)]
pub(crate) struct Storm {
    /// How long to kill, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// The seed of the random numbers, which the storm prints. Other seeds kill at other times.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Storm {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let minutes = self.minutes.to_string();
        let test = "a_long_storm_loses_doubles_and_corrupts_no_request";
        let mut storm = cmd!(
            sh,
            "cargo test --release --package isolation-host --test storm -- {test} --exact --ignored --nocapture"
        );
        storm = storm.env("STORM_MINUTES", minutes);
        if let Some(seed) = self.seed {
            storm = storm.env("STORM_SEED", seed.to_string());
        }
        Ok(storm.run()?)
    }
}
