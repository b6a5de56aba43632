//! The suites of ring-core's tests, and their results.

use super::targets::{TARGETS, Target};

/// A test program of ring-core.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// The name of cargo's test target. The library's unit tests are [`UNIT`].
    pub(super) name: &'static str,
    /// Whether the suite runs only with `--full`.
    full: bool,
    /// Whether the suite needs rust-vmm's crates, which are for 64-bit processors only.
    rust_vmm: bool,
}

/// The name of the unit tests.
const UNIT: &str = "unit";

const fn reduced(name: &'static str) -> Suite {
    Suite { name, full: false, rust_vmm: false }
}

/// The suites, in the order of cargo.
pub(super) const SUITES: [Suite; 7] = [
    reduced(UNIT),
    Suite { name: "conformance", full: true, rust_vmm: false },
    Suite { name: "differential", full: true, rust_vmm: true },
    reduced("hostile"),
    reduced("model"),
    reduced("regressions"),
    reduced("rings"),
];

/// A test of all positions of an index, which takes as long as all others. Runs with `--full`.
pub(super) const SLOW: &str = "an_event_is_due_exactly_when_the_index_has_just_passed_it";

/// The suites that never run for other processors, with the reasons.
const LEFT_OUT: [(&str, &str); 2] = [
    ("loom", "its models show the same on each processor"),
    ("examples in the documentation", "rustdoc runs them for another processor only since 1.89"),
];

impl Suite {
    /// Returns whether the suite runs for a processor.
    pub(super) fn runs_for(&self, target: &Target, full: bool) -> bool {
        (full || !self.full) && (target.is_64_bit || !self.rust_vmm)
    }

    /// Returns the options with which cargo builds and runs the suite.
    pub(super) fn options(&self) -> Vec<&'static str> {
        if self.name == UNIT { vec!["--lib"] } else { vec!["--test", self.name] }
    }
}

/// Returns a line for each suite that does not run, or does not run on every processor.
pub(super) fn left_out(full: bool) -> Vec<String> {
    let reduced = SUITES.iter().filter(|suite| suite.full && !full);
    let only_64_bit = SUITES.iter().filter(|suite| suite.rust_vmm && full);
    let mut lines: Vec<String> =
        reduced.map(|suite| format!("{}: only with --full, to save time", suite.name)).collect();
    lines.extend(only_64_bit.map(|suite| {
        let name = suite.name;
        format!("{name}: not with 32 bits, because rust-vmm's crates are for 64-bit processors")
    }));
    lines.extend(LEFT_OUT.map(|(name, why)| format!("{name}: {why}")));
    if full {
        lines.push("differential: not against virtio-drivers, which is too new for Rust 1.85".to_owned());
    } else {
        lines.push(format!("{SLOW}: only with --full, to save time"));
        let others: Vec<_> = TARGETS.iter().filter(|target| !target.reduced_bursts).map(|t| t.name).collect();
        lines.push(format!("bursts on {}: only with --full, to save time", others.join(", ")));
        lines.push("random tests: with few cases, all of them with --full".to_owned());
    }
    lines
}

/// The number of passed tests of a suite.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) suite: String,
    pub(super) tests: u64,
}

/// Reads the results in the output of `cargo test`.
///
/// "Running unittests src/lib.rs (PROGRAM)" or "Running tests/NAME/main.rs (PROGRAM)" precedes the
/// output of a suite, which ends with "test result: ok. 3 passed; 0 failed; …".
pub(super) fn passed(output: &str) -> Vec<Passed> {
    let mut results = Vec::new();
    let mut running = None;
    for line in output.lines() {
        if let Some(program) = line.trim_start().strip_prefix("Running ") {
            running = suite_of(program);
        }
        let count = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split_once(" passed"));
        if let (Some((count, _)), Some(suite)) = (count, running.take_if(|_| count.is_some())) {
            results.push(Passed { suite, tests: count.parse().unwrap_or(0) });
        }
    }
    results
}

/// Returns the suite in "unittests src/lib.rs (PROGRAM)" or "tests/NAME/main.rs (PROGRAM)".
fn suite_of(program: &str) -> Option<String> {
    if program.starts_with("unittests ") {
        return Some(UNIT.to_owned());
    }
    Some(program.strip_prefix("tests/")?.split('/').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// From `cargo test`, shortened.
    const OUTPUT: &str = "\
    Finished `foreign` profile [optimized] target(s) in 1.2s
     Running unittests src/lib.rs (target/s390x-unknown-linux-gnu/debug/deps/ring_core-1)

running 2 tests
test index::tests::a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.24s

     Running tests/rings/main.rs (target/s390x-unknown-linux-gnu/debug/deps/rings-2)
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.24s

     Running tests/model/main.rs (target/s390x-unknown-linux-gnu/debug/deps/model-3)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s
";

    #[test]
    fn passed_tests_are_counted_for_each_suite() {
        let counts: Vec<_> =
            passed(OUTPUT).into_iter().map(|Passed { suite, tests }| (suite, tests)).collect();
        assert_eq!(counts, [("unit".to_owned(), 2), ("model".to_owned(), 0)]);
    }

    #[test]
    fn every_suite_of_ring_core_is_run_or_left_out() {
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../ring-core/tests");
        for entry in fs::read_dir(tests).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_suite = path.extension().is_some() || path.join("main.rs").is_file();
            let known = SUITES.iter().any(|suite| suite.name == name);
            let left_out = LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
            assert!(!is_suite || known || left_out, "{name} is neither in SUITES nor in LEFT_OUT");
        }
    }

    #[test]
    fn suites_with_rust_vmms_crates_run_with_64_bits() {
        let differential = &SUITES[2];
        let run: Vec<_> =
            TARGETS.iter().filter(|target| differential.runs_for(target, true)).map(|t| t.name).collect();
        assert_eq!(run, ["aarch64", "riscv64", "s390x"]);
        assert!(TARGETS.iter().all(|target| !differential.runs_for(target, false)));
    }
}
