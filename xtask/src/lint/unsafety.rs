//! Unsafe code is where it is meant to be, and says why.

use std::fs;
use std::str::FromStr as _;

use anyhow::{Context as _, Result, bail};
use proc_macro2::{TokenStream, TokenTree};

use crate::command::{command, output};

/// What a file with unsafe code has to contain, followed by the reason.
const MARK: &str = "// UNSAFETY: ";

/// Where unsafe code may be, and what for.
const ALLOWED: &[(&str, &str)] = &[
    ("ring-core/src/memory/", "the one seam to shared memory"),
    ("ring-core/tests/", "memory that tests lend to the rings, and loom's cells"),
    ("ring-core/no-std-proof/", "a program without std exports its own entry point"),
    ("snd-host/src/mmap", "the front-end's memory"),
    ("isolation-host/src/mmap", "the front-end's and the isolated memory"),
    ("ring-core/examples/firmware/", "bare metal"),
    ("benches/", "memory that benchmarks lend to the rings"),
];

/// Checks all Rust files that git knows or would add.
pub(crate) fn check() -> Result<()> {
    let files =
        output(&mut command(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]))?;
    let mut faults = Vec::new();
    let mut with_unsafe = 0;
    for path in files.lines() {
        let Ok(source) = fs::read_to_string(path) else {
            continue; // git still knows a file that was deleted
        };
        let tokens = TokenStream::from_str(&source)
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("{path} is not Rust"))?;
        if uses_unsafe(tokens) {
            with_unsafe += 1;
            faults.extend(fault(path, &source));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    println!("unsafe code: {with_unsafe} files, each with its reason and in its place");
    Ok(())
}

/// Whether the keyword is used. Comments and strings are no tokens of their own.
fn uses_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "unsafe",
        TokenTree::Group(group) => uses_unsafe(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// What is wrong with a file that has unsafe code.
fn fault(path: &str, source: &str) -> Option<String> {
    let marked = source.lines().any(|line| line.strip_prefix(MARK).is_some_and(|why| !why.is_empty()));
    if !ALLOWED.iter().any(|(place, _)| path.starts_with(place)) {
        let places: Vec<&str> = ALLOWED.iter().map(|(place, _)| *place).collect();
        Some(format!("{path} has unsafe code; it belongs in {}", places.join(", ")))
    } else if !marked {
        Some(format!("{path} has unsafe code and no `{MARK}why` line"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(source: &str) -> bool {
        TokenStream::from_str(source).is_ok_and(uses_unsafe)
    }

    #[test]
    fn only_the_keyword_counts() {
        assert!(uses("fn f() { if true { unsafe { g() } } }"));
        assert!(uses("#[unsafe(no_mangle)] fn f() {}"));
        assert!(!uses("// unsafe\n/// unsafe\nfn unsafe_code() { \"unsafe { }\"; }"));
    }

    #[test]
    fn a_file_needs_a_place_and_a_reason() {
        assert_eq!(fault("ring-core/src/memory/raw.rs", "// UNSAFETY: why\n"), None);
        assert!(fault("ring-core/src/memory/raw.rs", "// UNSAFETY: \n").is_some());
        assert!(fault("ring-core/src/chain.rs", "// UNSAFETY: why\n").is_some());
    }
}
