//! Comments and documents are at most 100 columns wide, so that they can be read beside a diff.

use std::collections::BTreeMap;

use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule = Rule {
    claim: "comments and documents have at most 100 columns",
    find: violations,
    allowed: &[],
    list: file!(),
};

const COLUMNS: usize = 100;

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, source, rust) in tree.rust() {
        let lines: Vec<&str> = source.text.lines().collect();
        // A line can have two comments.
        let commented: BTreeMap<usize, &str> = rust
            .comments
            .iter()
            .filter_map(|comment| Some((comment.line, *lines.get(comment.line - 1)?)))
            .collect();
        violations.extend(commented.into_iter().filter_map(|(number, line)| violation(path, number, line)));
    }
    for (path, source) in tree.markdown() {
        let mut fenced = false;
        for (index, line) in source.text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            // A row of a table cannot be wrapped.
            if !fenced && !line.starts_with('|') {
                violations.extend(violation(path, index + 1, line));
            }
        }
    }
    violations
}

fn violation(path: &str, number: usize, line: &str) -> Option<Violation> {
    let columns = line.chars().count();
    // An address cannot be wrapped.
    (columns > COLUMNS && !line.contains("://")).then(|| Violation {
        path: path.to_owned(),
        line: number,
        what: line.trim().to_owned(),
        message: format!("{columns} columns; wrap the comment at {COLUMNS}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_wide_comment_is_caught_in_code_and_in_documents() -> Result<()> {
        let wide = "word ".repeat(20);
        let code = format!("/// {wide}\nfn f() {{}} // {wide}\nconst S: &str = \"{wide}\";\n");
        let document = format!("{wide}.\n\n| {wide} |\n\n```\n{wide}.\n```\n");
        let found = violations(&Tree::planted(&[("lib.rs", &code), ("a.md", &document)])?);
        let places: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(places, [("lib.rs", 1), ("lib.rs", 2), ("a.md", 1)]);
        Ok(())
    }

    #[test]
    fn a_comment_of_exactly_100_columns_is_fine() -> Result<()> {
        let comment = format!("// {}\n", "é".repeat(97));
        assert_eq!(violations(&Tree::planted(&[("lib.rs", &comment)])?), []);
        Ok(())
    }
}
