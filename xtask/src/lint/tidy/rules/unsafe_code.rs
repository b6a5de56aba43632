//! Unsafe code is only in the listed places, and each file with unsafe code says why.

use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule = Rule {
    claim: "unsafe code is where it is allowed, with its reason",
    find: violations,
    allowed: &[],
    list: file!(),
};

/// The start of the line that gives a file's reason for unsafe code.
const MARK: &str = "// UNSAFETY: ";

/// The places where unsafe code is allowed, and the reasons.
const PLACES: &[(&str, &str)] = &[
    ("ring-core/src/memory/", "the only seam to shared memory"),
    ("ring-core/tests/", "memory that tests lend to the rings, and loom's cells"),
    ("ring-core/no-std-proof/", "a program without std exports its own entry point"),
    ("snd-host/src/mmap.rs", "memory that the two processes share"),
    ("snd-host/src/process/close_on_exec.rs", "a system call"),
    ("snd-host/src/scheduler.rs", "a system call"),
    ("snd-host/src/process/fault.rs", "the handler of SIGBUS"),
    ("isolation-host/src/mmap/", "the front-end's and the isolated memory"),
    ("ring-core/examples/firmware/", "bare metal"),
    ("tests/examples/vduse-disk/vduse.rs", "the requests of VDUSE"),
    ("benches/", "memory that benchmarks lend to the rings"),
];

fn violations(tree: &Tree) -> Vec<Violation> {
    check(tree, PLACES)
}

fn check(tree: &Tree, places: &[(&str, &str)]) -> Vec<Violation> {
    let uses = |identifiers: &[super::super::rust::Piece]| {
        identifiers.iter().find(|it| it.text == "unsafe").map(|it| it.line)
    };
    let found: Vec<(&str, usize, &str)> = tree
        .rust()
        .filter_map(|(path, source, rust)| Some((path, uses(&rust.identifiers)?, source.text.as_str())))
        .collect();
    let faults = found.iter().filter_map(|(path, line, text)| fault(path, *line, text, places));
    let unused = places.iter().filter(|(place, _)| !found.iter().any(|(path, ..)| path.starts_with(place)));
    let unused = unused.map(|(place, _)| Violation {
        path: file!().to_owned(),
        line: 1,
        what: (*place).to_owned(),
        message: format!("{place} is allowed unsafe code and has none; remove the entry"),
    });
    faults.chain(unused).collect()
}

/// Checks one file, which has unsafe code in `line`.
fn fault(path: &str, line: usize, text: &str, places: &[(&str, &str)]) -> Option<Violation> {
    let marked = text.lines().any(|line| line.strip_prefix(MARK).is_some_and(|why| !why.is_empty()));
    let message = if !places.iter().any(|(place, _)| path.starts_with(place)) {
        let places: Vec<&str> = places.iter().map(|(place, _)| *place).collect();
        format!("unsafe code; it belongs in {}", places.join(", "))
    } else if !marked {
        format!("unsafe code without a `{MARK}why` line; add the reason")
    } else {
        return None;
    };
    Some(Violation { path: path.to_owned(), line, what: "unsafe".to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    fn faulty(path: &str, text: &str) -> Result<bool> {
        let found = check(&Tree::planted(&[(path, text)])?, &[("memory/", "why")]);
        Ok(found.iter().any(|violation| violation.path == path))
    }

    #[test]
    fn only_the_keyword_counts() -> Result<()> {
        assert!(faulty("lib.rs", "fn f() { if true { unsafe { g() } } }")?);
        assert!(faulty("lib.rs", "#[unsafe(no_mangle)] fn f() {}")?);
        assert!(!faulty("lib.rs", "// unsafe\n/// unsafe\nfn unsafe_code() { \"unsafe { }\"; }")?);
        Ok(())
    }

    #[test]
    fn a_file_needs_a_place_and_a_reason() -> Result<()> {
        let code = "unsafe fn f() {}\n";
        assert!(!faulty("memory/raw.rs", &format!("// UNSAFETY: why\n{code}"))?);
        assert!(faulty("memory/raw.rs", &format!("// UNSAFETY: \n{code}"))?);
        assert!(faulty("chain.rs", &format!("// UNSAFETY: why\n{code}"))?);
        Ok(())
    }

    #[test]
    fn a_place_without_unsafe_code_is_caught() -> Result<()> {
        let found = check(&Tree::planted(&[("lib.rs", "")])?, &[("gone/", "why")]);
        assert_eq!(found.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), ["gone/"]);
        Ok(())
    }
}
