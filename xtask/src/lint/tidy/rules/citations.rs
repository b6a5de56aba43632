//! Citations of the standard are to VIRTIO 1.4: sections have other numbers in other versions.

use std::sync::LazyLock;

use regex::Regex;

use super::super::prose::passages;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "citations are to VIRTIO 1.4", find: violations, allowed: &[], list: file!() };

static VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bvirtio[ -](?:v|version )?1\.([0-9]+)").ok());

/// The minor version to cite.
const CITED: &str = "4";
/// The first version that is not legacy. Code may say that it supports "VIRTIO 1.0 and later".
const FIRST: &str = "0";

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(version) = VERSION.as_ref() else { return violations };
    // The test below cites other versions.
    for (path, source) in tree.files.iter().filter(|(path, _)| *path != file!()) {
        for passage in passages(source) {
            let hits =
                version.captures_iter(passage.text()).filter_map(|hit| Some((hit.get(0)?, hit.get(1)?)));
            let other = hits.filter(|(_, minor)| minor.as_str() != CITED && minor.as_str() != FIRST);
            violations.extend(other.map(|(citation, _)| Violation {
                path: path.clone(),
                line: passage.line(citation.start()),
                what: citation.as_str().to_owned(),
                message: format!(
                    "`{}`: cite VIRTIO 1.{CITED} by section number and title",
                    citation.as_str()
                ),
            }));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_citation_of_another_version_is_caught() -> Result<()> {
        let code =
            "/// VIRTIO 1.4 2.7 \"Split Virtqueues\"\n/// and virtio\n/// 1.3, VIRTIO 1.0 and later.\n";
        let found = violations(&Tree::planted(&[("lib.rs", code), ("a.md", "virtio-v1.1")])?);
        let found: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.line, it.what.as_str())).collect();
        assert_eq!(found, [("a.md", 1, "virtio-v1.1"), ("lib.rs", 2, "virtio 1.3")]);
        Ok(())
    }
}
