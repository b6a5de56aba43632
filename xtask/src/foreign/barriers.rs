//! The barriers in ring-core's assembly code, for processors with weakly ordered memory.
//!
//! In the models, loom's types replace the accesses and barriers of real memory. This check covers
//! the code that is replaced: it compiles each call that publishes, takes or arms, and reads the
//! barriers in the assembly code of the call.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use super::link::{Library, build_directory};
use super::targets::Target;
use crate::command::quietly;
use crate::setup::Rust;

/// The crate with the calls.
const CRATE: &str = "ring-core-barriers";
/// The formats. The crate has a module for each format and peer, such as `split_smp`.
const FORMATS: [&str; 2] = ["split", "packed"];

/// The calls that have the same barriers.
const PUBLISH: [&str; 2] = ["driver_publish", "device_publish"];
const TAKE: [&str; 2] = ["driver_reap", "device_pop"];
const ARM: [&str; 2] = ["driver_arm", "device_arm"];

/// The barriers of a processor for one kind of peer: consecutive instructions among the
/// instructions that order accesses.
#[derive(Debug)]
struct Expected {
    /// The name of the target.
    target: &'static str,
    /// The peer in the module's name.
    peer: &'static str,
    publish: &'static [&'static str],
    take: &'static [&'static str],
    arm: &'static [&'static str],
}

const EXPECTED: [Expected; 4] = [
    Expected {
        target: "aarch64",
        peer: "smp",
        publish: &["stlr", "dmb ish"],
        take: &["ldar"],
        arm: &["dmb ish"],
    },
    Expected {
        target: "aarch64",
        peer: "platform",
        publish: &["dmb osh", "stlr", "dmb osh"],
        take: &["ldar", "dmb oshld"],
        arm: &["dmb osh"],
    },
    Expected {
        target: "riscv64",
        peer: "smp",
        publish: &["fence rw, w", "fence rw, rw"],
        take: &["fence r, rw"],
        arm: &["fence rw, rw"],
    },
    Expected {
        target: "riscv64",
        peer: "platform",
        publish: &["fence iorw, ow", "fence rw, w", "fence iorw, iorw"],
        take: &["fence r, rw", "fence ir, iorw"],
        arm: &["fence iorw, iorw"],
    },
];

/// Checks the calls for a processor. Returns the number of calls, which is 0 if the processor
/// orders memory strongly.
pub(super) fn check(sh: &Shell, rust: &Rust, target: &Target) -> Result<u64> {
    let expected: Vec<_> = EXPECTED.iter().filter(|expected| expected.target == target.name).collect();
    if expected.is_empty() {
        return Ok(0);
    }
    let listing = build_directory()?.join(format!("barriers-{}.s", target.name));
    let emit = format!("--emit=asm={}", listing.display());
    let cargo = target.on(rust, cmd!(sh, "cargo rustc --package {CRATE}"), Library::Core)?;
    // The calls are generic: the compiler instantiates and fully optimises them for this crate.
    let cargo = cargo.args(["--", &emit, "-Copt-level=3", "-Ccodegen-units=1"]);
    quietly(&format!("compiling the calls with barriers for {}", target.name), cargo)?;
    let assembly = fs::read_to_string(&listing)
        .with_context(|| format!("{} is missing; remove its directory", listing.display()))?;
    let functions = functions(&assembly);
    expected.iter().try_fold(0, |calls, expected| Ok(calls + expected.check(&functions)?))
}

impl Expected {
    fn check(&self, functions: &Functions<'_>) -> Result<u64> {
        let mut calls = 0;
        for format in FORMATS {
            let module = format!("{format}_{}", self.peer);
            for (names, pattern) in [(PUBLISH, self.publish), (TAKE, self.take), (ARM, self.arm)] {
                for name in names {
                    self.check_call(functions, &module, name, pattern)?;
                    calls += 1;
                }
            }
        }
        Ok(calls)
    }

    fn check_call(
        &self,
        functions: &Functions<'_>,
        module: &str,
        name: &str,
        pattern: &[&str],
    ) -> Result<()> {
        // The mangled name has the length before each part.
        let mangled = format!("{}{module}{}{name}17h", module.len(), name.len());
        let symbol = functions.keys().find(|symbol| symbol.contains(&mangled));
        let symbol = symbol.with_context(|| format!("{CRATE} has no function {module}::{name}"))?;
        let order = flattened(functions, symbol, &mut Vec::new());
        if !is_ordered(&order, pattern) {
            bail!(
                "{}: {module}::{name} has the barriers {order:?}, and should have {pattern:?}",
                self.target
            );
        }
        Ok(())
    }
}

/// The part of an instruction that the check needs.
#[derive(Debug, PartialEq, Eq)]
enum Step<'l> {
    /// A barrier, or an access that orders other accesses.
    Orders(String),
    /// A call of another function.
    Calls(&'l str),
}

/// The steps of each function, by its symbol.
type Functions<'l> = HashMap<&'l str, Vec<Step<'l>>>;

/// Reads a listing in the format of LLVM.
fn functions(assembly: &str) -> Functions<'_> {
    let mut functions = Functions::new();
    let mut current = None;
    for line in assembly.lines() {
        match line.strip_suffix(':').filter(|label| label.starts_with("_ZN")) {
            Some(label) => current = Some(functions.entry(label).or_default()),
            None => {
                if let (Some(steps), Some(step)) = (&mut current, step(line)) {
                    steps.push(step);
                }
            }
        }
    }
    functions
}

/// Reads an instruction. Returns `None` for an instruction that neither orders accesses nor calls a
/// function.
fn step(line: &str) -> Option<Step<'_>> {
    let (mnemonic, operands) = line.trim().split_once('\t').unwrap_or((line.trim(), ""));
    match mnemonic {
        "bl" | "b" | "call" | "tail" if operands.starts_with("_ZN") => Some(Step::Calls(operands)),
        "dmb" => Some(Step::Orders(format!("dmb {operands}"))),
        // The processor's default is the strongest fence.
        "fence" if operands.is_empty() => Some(Step::Orders("fence iorw, iorw".to_owned())),
        "fence" => Some(Step::Orders(format!("fence {operands}"))),
        // The suffix is the width of the access.
        "stlr" | "stlrh" | "stlrb" => Some(Step::Orders("stlr".to_owned())),
        "ldar" | "ldarh" | "ldarb" => Some(Step::Orders("ldar".to_owned())),
        _ => None,
    }
}

/// Returns the ordering instructions of a function and of the functions that it calls, in the
/// listing's order.
fn flattened<'f>(functions: &'f Functions<'_>, symbol: &'f str, within: &mut Vec<&'f str>) -> Vec<&'f str> {
    let mut order = Vec::new();
    // A recursive call adds no further barriers.
    if within.contains(&symbol) {
        return order;
    }
    within.push(symbol);
    for step in functions.get(symbol).into_iter().flatten() {
        match step {
            Step::Orders(instruction) => order.push(instruction.as_str()),
            Step::Calls(callee) => order.extend(flattened(functions, callee, within)),
        }
    }
    within.pop();
    order
}

/// Returns whether the pattern occurs, and none of its instructions occurs outside the pattern.
fn is_ordered(order: &[&str], pattern: &[&str]) -> bool {
    let complete = order.windows(pattern.len()).filter(|window| *window == pattern).count();
    let instructions = order.iter().filter(|instruction| pattern.contains(instruction)).count();
    complete > 0 && instructions == complete * pattern.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From rustc, shortened: a call that looks for used buffers. Its slow path is a function.
    const AARCH64: &str = "\
_ZN9ring_core6packed3end12End$LT$M$GT$9peek_slow17hee5b171d5ea07cecE:
	.cfi_startproc
	ldar	x9, [x9]
	//APP
	dmb	oshld
	//NO_APP
	ret
.Lfunc_end6:
_ZN18ring_core_barriers15packed_platform11driver_reap17h747c1110d6865d26E:
	tbz	w9, #6, .LBB25_3
	bl	_ZN9ring_core6packed3end12End$LT$M$GT$9peek_slow17hee5b171d5ea07cecE
.LBB25_3:
	ldar	x8, [x8]
	dmb	oshld
	ret
";
    const RISCV64: &str = "\
_ZN18ring_core_barriers14split_platform14driver_publish17h9d0d5cc4c9b5c2aaE:
	fence	iorw, ow
	fence	rw, w
	sh	a1, 0(a0)
	fence
	ret
";

    fn expected(target: &str) -> &'static Expected {
        EXPECTED.iter().find(|expected| expected.target == target && expected.peer == "platform").unwrap()
    }

    fn reap(assembly: &str) -> Result<()> {
        let expected = expected("aarch64");
        expected.check_call(&functions(assembly), "packed_platform", "driver_reap", expected.take)
    }

    fn publish(assembly: &str) -> Result<()> {
        let expected = expected("riscv64");
        expected.check_call(&functions(assembly), "split_platform", "driver_publish", expected.publish)
    }

    #[test]
    fn the_intended_barriers_are_found_in_called_functions_too() -> Result<()> {
        reap(AARCH64)?;
        publish(RISCV64)
    }

    #[test]
    fn a_removed_barrier_is_noticed() {
        let first = AARCH64.replacen("\tdmb\toshld\n", "", 1);
        let second = AARCH64.replacen("x8, [x8]\n\tdmb\toshld", "x8, [x8]", 1);
        let relaxed = AARCH64.replace("ldar", "ldr");
        for assembly in [first, second, relaxed] {
            assert!(reap(&assembly).is_err(), "{assembly}");
        }
        for fence in ["\tfence\tiorw, ow\n", "\tfence\trw, w\n", "\tfence\n"] {
            assert!(publish(&RISCV64.replace(fence, "")).is_err(), "{fence}");
        }
    }

    #[test]
    fn a_weaker_barrier_is_named_with_the_intended_one() {
        let weaker = AARCH64.replace("oshld", "ishld");
        let message = reap(&weaker).map_err(|error| error.to_string());
        let expected = "aarch64: packed_platform::driver_reap has the barriers [\"ldar\", \"dmb ishld\", \
                        \"ldar\", \"dmb ishld\"], and should have [\"ldar\", \"dmb oshld\"]";
        assert_eq!(message, Err(expected.to_owned()));
    }

    #[test]
    fn a_call_that_is_missing_is_named() {
        let message = reap(RISCV64).map_err(|error| error.to_string());
        assert_eq!(
            message,
            Err("ring-core-barriers has no function packed_platform::driver_reap".to_owned())
        );
    }
}
