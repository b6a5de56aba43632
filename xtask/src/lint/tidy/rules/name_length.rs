//! A test's name is a claim of at most 70 characters. What does not fit is in the doc comment.

use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "a test's name has at most 70 characters", find: violations, allowed: &[], list: file!() };

const CHARACTERS: usize = 70;

/// Checks every identifier, because macros turn identifiers without `fn` into tests.
fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, _, rust) in tree.rust() {
        for identifier in &rust.identifiers {
            let characters = identifier.text.chars().count();
            if characters > CHARACTERS {
                violations.push(Violation {
                    path: path.to_owned(),
                    line: identifier.line,
                    what: identifier.text.clone(),
                    message: format!(
                        "`{}` has {characters} characters; shorten the name to {CHARACTERS}",
                        identifier.text
                    ),
                });
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_name_of_71_characters_is_caught() -> Result<()> {
        let (fits, long) = ("a".repeat(70), "b".repeat(71));
        let code = format!("#[test]\nfn {fits}() {{}}\n#[test]\nfn {long}() {{}}\n");
        let found = violations(&Tree::planted(&[("lib.rs", &code)])?);
        assert_eq!(found.iter().map(|it| (it.what.clone(), it.line)).collect::<Vec<_>>(), [(long, 4)]);
        Ok(())
    }
}
