//! Each document says of its commands whether `cargo xtask docs` runs them.

use super::super::tree::Tree;
use super::{Rule, Violation};
use crate::docs::page::{Page, Unmarked};

pub(super) const RULE: Rule = Rule {
    claim: "documents say which of their commands are run",
    find: violations,
    allowed: &[],
    list: file!(),
};

/// The documents whose commands are run.
const DOCUMENTS: &str = "docs/";

fn violations(tree: &Tree) -> Vec<Violation> {
    let documents = tree.markdown().filter(|(path, _)| path.starts_with(DOCUMENTS));
    let unmarked = documents.filter_map(|(path, source)| Some((path, Page::parse(&source.text).err()?)));
    let violation = |(path, error): (&str, Unmarked)| Violation {
        path: path.to_owned(),
        line: error.line,
        message: error.to_string(),
        what: "commands".to_owned(),
    };
    unmarked.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn commands_without_a_mark_are_caught() -> Result<()> {
        let unmarked = "Text.\n\n```sh\nls\n```\n";
        let marked = "<!-- run -->\n```sh\nls\n```\n";
        let files = [("docs/a.md", unmarked), ("docs/b.md", marked), ("README.md", unmarked)];
        let found = violations(&Tree::planted(&files)?);
        assert_eq!(
            found.iter().map(|it| (it.path.as_str(), it.line)).collect::<Vec<_>>(),
            [("docs/a.md", 3)]
        );
        Ok(())
    }
}
