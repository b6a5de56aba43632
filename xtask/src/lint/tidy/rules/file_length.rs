//! A file has at most 350 lines. A longer file holds a second concept.

use super::super::allowed::Allowed;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "a Rust file has at most 350 lines", find: violations, allowed: ALLOWED, list: file!() };

const LINES: usize = 350;

/// Files that are tables.
const ALLOWED: &[Allowed] = &[];

fn violations(tree: &Tree) -> Vec<Violation> {
    let lengths = tree.rust().map(|(path, source, _)| (path, source.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > LINES);
    long.map(|(path, lines)| Violation {
        path: path.to_owned(),
        line: lines,
        what: String::new(),
        message: format!("{lines} lines; split the file where the concept splits, at most {LINES}"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_file_of_351_lines_is_caught() -> Result<()> {
        let (fits, long) = ("//\n".repeat(350), "//\n".repeat(351));
        let found = violations(&Tree::planted(&[("fits.rs", &fits), ("long.rs", &long)])?);
        assert_eq!(found.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["long.rs"]);
        Ok(())
    }
}
