//! Building the firmware, and measuring how much of it is ring-core.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use indicatif::HumanCount;

use super::MANIFEST;
use crate::command::{cargo, command, output, run as run_command};

/// Programs that consist of ring-core and an entry point, what is in them, and how much it may be.
const SIZES: [(&str, &str, u64); 3] = [
    ("size-split-driver", "one split driver: new, add, publish, reap, arm", 4 << 10),
    ("size-split-driver-indirect", "the same with indirect tables", 6 << 10),
    ("size-all", "both formats, both roles, all calls", 24 << 10),
];

/// What is in those programs and is not ring-core: the entry point, and C's functions, which every
/// platform has.
const OTHERS: [&str; 8] = ["_start", "stop", "memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// A subcommand of cargo, on the firmware.
pub(crate) fn on_firmware(subcommand: &str) -> Result<Command> {
    // Not a member of the workspace, so it says where its files go.
    let mut command = cargo([subcommand, "--release", "--manifest-path", MANIFEST, "--target-dir"]);
    command.arg(directory()?);
    Ok(command)
}

fn directory() -> Result<PathBuf> {
    Ok(target_dir()?.join("firmware"))
}

fn program(name: &str) -> Result<PathBuf> {
    Ok(directory()?.join("release").join(name))
}

/// Builds the firmware and the programs to measure, and returns where the firmware is.
pub(super) fn build() -> Result<PathBuf> {
    run_command(&mut on_firmware("build")?)?;
    program("firmware")
}

/// Prints the size of the image and of ring-core's code, which may not be more than it is meant to be.
pub(super) fn show_sizes(firmware: &Path) -> Result<()> {
    println!("\nSizes, in bytes of code");
    let all = symbols(firmware)?;
    let of_ring_core = all.iter().filter(|symbol| symbol.name.contains("ring_core::"));
    line("the whole firmware", sum(&all));
    line("ring-core's functions in it, but for what was inlined", sum(of_ring_core));
    for (name, what, most) in SIZES {
        let all = symbols(&program(name)?)?;
        let bytes = sum(all.iter().filter(|symbol| !symbol.is_other()));
        line(&format!("{what} (at most {})", HumanCount(most)), bytes);
        if bytes > most {
            bail!("{name} has {bytes} bytes of code, {} too many", bytes - most);
        }
    }
    Ok(())
}

fn line(what: &str, bytes: u64) {
    println!("  {what:78} {:>7}", HumanCount(bytes).to_string());
}

fn sum<'s>(symbols: impl IntoIterator<Item = &'s Symbol>) -> u64 {
    symbols.into_iter().map(|symbol| symbol.bytes).sum()
}

/// A function in a program.
struct Symbol {
    bytes: u64,
    name: String,
}

impl Symbol {
    /// Takes in "0000000000201b38 000000000000007c t ring_core::…"; `None` if it is no function.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let bytes = u64::from_str_radix(words.nth(1)?, 16).ok()?;
        let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
        is_code.then_some(Self { bytes, name: words.next()?.to_owned() })
    }

    fn is_other(&self) -> bool {
        let name = self.name.rsplit("::").next().unwrap_or_default();
        OTHERS.contains(&name)
    }
}

/// All functions in a program.
fn symbols(program: &Path) -> Result<Vec<Symbol>> {
    let text = output(command(["nm", "--print-size", "--demangle"]).arg(program))
        .context("nm is part of binutils, which the linker needs, too")?;
    Ok(text.lines().filter_map(Symbol::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_a_size_and_a_name() {
        let symbol =
            Symbol::parse("0000000000201b38 000000000000007c t ring_core::split::Driver<M,S,T>::arm");
        let symbol = symbol.map(|symbol| (symbol.bytes, symbol.name));
        assert_eq!(symbol, Some((0x7c, "ring_core::split::Driver<M,S,T>::arm".to_owned())));
    }

    #[test]
    fn data_and_symbols_without_size_are_no_functions() {
        assert!(Symbol::parse("0000000000201b38 000000000000007c b REGION").is_none());
        assert!(Symbol::parse("0000000000201b38 T start32").is_none());
    }
}
