//! `cargo xtask tidy`: the style guide as a check. Each rule is a file of `rules`.
//!
//! A rule takes the [`Tree`] and returns its violations. An intended violation is listed in the
//! rule's `ALLOWED`, with the reason.

mod allowed;
mod imports;
mod modules;
mod prose;
mod resolve;
mod rules;
mod rust;
mod tree;

use anyhow::{Result, bail};
use clap::Args;
use xshell::Shell;

use self::rules::RULES;
use self::tree::Tree;

/// What to check.
#[derive(Debug, Default, Args)]
pub(crate) struct Tidy {
    /// Show only the violations in files whose path starts with one of the given paths.
    paths: Vec<String>,
}

impl Tidy {
    /// Checks every rule, and prints the number of violations of each.
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let tree = Tree::of_project(sh)?;
        println!("{}", rules::circles::per_crate(&tree));
        let mut total = 0;
        for rule in RULES {
            let mut violations = rule.violations(&tree);
            violations.retain(|it| {
                self.paths.is_empty() || self.paths.iter().any(|path| it.path.starts_with(path))
            });
            for violation in &violations {
                println!("{violation}");
            }
            println!("tidy: {:4} × {}", violations.len(), rule.claim);
            total += violations.len();
        }
        if total > 0 {
            bail!("{total} violations of CONTRIBUTING.md's rules; each line above names the place");
        }
        Ok(())
    }
}
