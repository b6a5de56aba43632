//! A function has at most 40 lines, signature and closing brace included.

use super::super::allowed::Allowed;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "a function has at most 40 lines", find: violations, allowed: ALLOWED, list: file!() };

const LINES: usize = 40;

/// Functions that are tables.
const ALLOWED: &[Allowed] = &[];

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, _, rust) in tree.rust() {
        for function in &rust.functions {
            let lines = function.last - function.first + 1;
            if lines > LINES {
                violations.push(Violation {
                    path: path.to_owned(),
                    line: function.first,
                    what: function.name.clone(),
                    message: format!("`{}` has {lines} lines; split it, at most {LINES}", function.name),
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
    fn a_function_of_41_lines_is_caught_in_a_macro_too() -> Result<()> {
        let fits = format!("fn fits() {{\n{}}}\n", "f();\n".repeat(38));
        let long = format!("proptest! {{\nfn long() {{\n{}}}\n}}\n", "f();\n".repeat(39));
        let found = violations(&Tree::planted(&[("lib.rs", &format!("{fits}{long}"))])?);
        assert_eq!(found.iter().map(|it| (it.what.as_str(), it.line)).collect::<Vec<_>>(), [("long", 42)]);
        Ok(())
    }
}
