//! The results that the firmware prints on its serial port.

use std::collections::HashMap;

use indicatif::{HumanBytes, HumanCount};

/// The number of combinations of features for each device.
pub(super) const COMBINATIONS: usize = 8;

/// A passed check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The kind of device.
    pub(super) device: String,
    /// The ring's format, the suppression of notifications, and direct or indirect tables.
    combination: [String; 3],
    /// The counters, by name.
    counts: HashMap<String, u64>,
}

/// The columns, and the counter that each shows.
const COUNTS: [(&str, &str); 6] = [
    ("bytes", "bytes"),
    ("buffers", "buffers"),
    ("laps", "laps"),
    ("wraps", "wraps"),
    ("notified", "notifications"),
    ("interrupts", "interrupts"),
];

impl Outcome {
    /// Parses "OK block split flags direct bytes=16777216 …". Returns `None` for any other line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("OK ")?.split_whitespace();
        let device = words.next()?.to_owned();
        let combination = [words.next()?, words.next()?, words.next()?].map(str::to_owned);
        let counts = words.map(|word| {
            let (name, count) = word.split_once('=')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        Some(Self { device, combination, counts: counts.collect::<Option<_>>()? })
    }

    /// Returns the same result under another name of the device.
    pub(super) fn named(self, device: &str) -> Self {
        Self { device: device.to_owned(), ..self }
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// Prints the table of all results.
pub(super) fn show(outcomes: &[Outcome]) {
    println!("\nDriven by ring-core on bare metal, completions by interrupt");
    print!("  {:10} {:6} {:9} {:8}    ", "device", "ring", "events", "tables");
    COUNTS.iter().for_each(|(column, _)| print!(" {column:>10}"));
    println!();
    for outcome in outcomes {
        let Outcome { device, combination: [ring, events, tables], .. } = outcome;
        print!("  {device:10} {ring:6} {events:9} {tables:8}  OK");
        for (_, name) in COUNTS {
            let count = outcome.count(name);
            let shown =
                if name == "bytes" { HumanBytes(count).to_string() } else { HumanCount(count).to_string() };
            print!(" {shown:>10}");
        }
        println!();
    }
    println!(
        "  laps: times around the ring; wraps: of the index, which has 16 bits in a split queue. The fewest\n  \
         laps and the most wraps of a device's queues."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_check_is_parsed() {
        let outcome = Outcome::parse("OK block split flags direct bytes=512 wraps=3");
        let expected = Outcome {
            device: "block".to_owned(),
            combination: ["split", "flags", "direct"].map(str::to_owned),
            counts: HashMap::from([("bytes".to_owned(), 512), ("wraps".to_owned(), 3)]),
        };
        assert_eq!(outcome, Some(expected));
    }

    #[test]
    fn other_lines_are_not_passed_checks() {
        for line in ["", "FAILED block split flags direct: no", "OK block split", "OK a b c d e"] {
            assert_eq!(Outcome::parse(line), None, "{line}");
        }
    }
}
