//! Builds the firmware, and measures the size of ring-core's code.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use indicatif::HumanCount;
use xshell::{Cmd, Shell, cmd};

use super::MANIFEST;

/// Programs of ring-core and an entry point: the name, what the program uses, the largest size.
const SIZES: [(&str, &str, u64); 4] = [
    ("size-split-driver", "one split driver: new, add, publish, reap, arm", 4 << 10),
    ("size-split-driver-burst", "a burst user: the same with add and reap in bursts", 9 << 10),
    ("size-split-driver-indirect", "plain calls and indirect tables", 6 << 10),
    ("size-all", "both formats, both roles, all calls", 30 << 10),
];

/// The functions in those programs that are not ring-core's: the entry point, and C functions that
/// every platform has.
const OTHERS: [&str; 8] = ["_start", "stop", "memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// Returns a command that runs a subcommand of cargo on the firmware.
pub(crate) fn on_firmware<'s>(sh: &'s Shell, subcommand: &str) -> Result<Cmd<'s>> {
    // Another workspace's files go beside this workspace's.
    let target = directory()?;
    Ok(cmd!(sh, "cargo {subcommand} --release --manifest-path {MANIFEST} --target-dir {target}"))
}

fn directory() -> Result<PathBuf> {
    Ok(target_dir()?.join("firmware"))
}

fn program(name: &str) -> Result<PathBuf> {
    Ok(directory()?.join("release").join(name))
}

/// Builds the firmware and the programs to measure. Returns the path of the firmware.
pub(super) fn build(sh: &Shell) -> Result<PathBuf> {
    on_firmware(sh, "build")?.run()?;
    program("firmware")
}

/// Prints the size of the firmware and of ring-core's code. Fails if a program is too large.
pub(super) fn show_sizes(sh: &Shell, firmware: &Path) -> Result<()> {
    println!("\nSizes, in bytes of code");
    let all = symbols(sh, firmware)?;
    let of_ring_core = all.iter().filter(|symbol| symbol.name.contains("ring_core::"));
    line("the whole firmware", sum(&all));
    line("ring-core's functions in the firmware, without inlined code", sum(of_ring_core));
    for (name, what, most) in SIZES {
        let all = symbols(sh, &program(name)?)?;
        let bytes = sum(all.iter().filter(|symbol| !symbol.is_other()));
        line(&format!("{what} (at most {})", HumanCount(most)), bytes);
        if bytes > most {
            bail!("{name} has {bytes} bytes of code, {} more than its limit of {most}", bytes - most);
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
    /// Parses "0000000000201b38 000000000000007c t ring_core::…". `None` if that is not a function.
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

/// Returns all functions in a program.
fn symbols(sh: &Shell, program: &Path) -> Result<Vec<Symbol>> {
    let text = cmd!(sh, "nm --print-size --demangle {program}").read();
    let text = text.context("cannot list symbols; nm is part of the package binutils")?;
    Ok(text.lines().filter_map(Symbol::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_a_size_and_a_name() {
        let symbol =
            Symbol::parse("0000000000201b38 000000000000007c t ring_core::split::DriverQueue<M,S,T>::arm");
        let symbol = symbol.map(|symbol| (symbol.bytes, symbol.name));
        assert_eq!(symbol, Some((0x7c, "ring_core::split::DriverQueue<M,S,T>::arm".to_owned())));
    }

    #[test]
    fn data_and_symbols_without_size_are_not_functions() {
        assert!(Symbol::parse("0000000000201b38 000000000000007c b REGION").is_none());
        assert!(Symbol::parse("0000000000201b38 T start32").is_none());
    }
}
