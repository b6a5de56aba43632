//! Every Rust file is a part of something that Cargo builds.

use std::collections::BTreeSet;

use super::super::modules::Modules;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "every Rust file is declared by a `mod`", find: violations, allowed: &[], list: file!() };

fn violations(tree: &Tree) -> Vec<Violation> {
    let crates = tree.targets.iter().map(|target| Modules::of(tree, &target.root));
    let alive: BTreeSet<String> = crates.flat_map(|modules| modules.files).collect();
    let dead = tree.rust().filter(|(path, ..)| !alive.contains(*path));
    dead.map(|(path, ..)| Violation {
        path: path.to_owned(),
        line: 1,
        what: path.to_owned(),
        message: "no `mod` or `include!` names this file; remove or declare it".to_owned(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_file_that_no_mod_declares_is_caught() -> Result<()> {
        let files = [
            ("src/lib.rs", "mod a;\n#[path = \"../support/kit.rs\"]\nmod kit;\ninclude!(\"table.rs\");\n"),
            ("src/a/mod.rs", "#[cfg(test)]\nmod tests;\nmod b { mod c; }\n"),
            ("src/a/tests.rs", ""),
            ("src/a/b/c.rs", ""),
            ("src/a/dead.rs", ""),
            ("src/table.rs", ""),
            ("support/kit.rs", "mod part;"),
            ("support/part.rs", ""),
            ("support/unused.rs", ""),
        ];
        let found = violations(&Tree::planted(&files)?);
        let found: Vec<_> = found.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(found, ["src/a/dead.rs", "support/unused.rs"]);
        Ok(())
    }
}
