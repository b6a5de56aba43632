//! Banned words and constructions in prose, comments, messages and names.

use std::sync::LazyLock;

use regex::Regex;

use super::super::allowed::Allowed;
use super::super::prose::passages;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule = Rule {
    claim: "no person acts, no metaphor stands for a term, each noun is repeated",
    find: violations,
    allowed: ALLOWED,
    list: file!(),
};

/// The expressions, and what to write instead.
const BANNED: &[(&str, &str)] = &[
    (
        "whoever|whomever|nobody|somebody|anyone|everybody",
        "name the process, driver, device or caller that acts",
    ),
    (
        "lane|patience|door|stretch|greeting|bell|heat|contest|entrant|news",
        "use the term of VIRTIO, vhost-user, ALSA or Linux",
    ),
    ("so many|of which|goes on|as it is|such a one", "repeat the noun, in two sentences if need be"),
];

/// The places where a word is a term of the field.
const ALLOWED: &[Allowed] = &[];

static EXPRESSIONS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let expression = |words: &str| Regex::new(&format!(r"(?i)\b(?:{})\b", words.replace(' ', r"\s+")));
    BANNED.iter().filter_map(|(words, instead)| Some((expression(words).ok()?, *instead))).collect()
});

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, source) in &tree.files {
        // This file is skipped, because it lists the words.
        if path == file!() || path.ends_with("Cargo.lock") {
            continue;
        }
        for passage in passages(source) {
            violations.extend(found(path, passage.text(), |byte| passage.line(byte)));
        }
        for identifier in source.rust.iter().flat_map(|rust| &rust.identifiers) {
            violations.extend(found(path, &identifier.text, |_| identifier.line));
        }
    }
    violations
}

fn found(path: &str, text: &str, line: impl Fn(usize) -> usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (expression, instead) in EXPRESSIONS.iter() {
        violations.extend(expression.find_iter(text).map(|hit| Violation {
            path: path.to_owned(),
            line: line(hit.start()),
            what: hit.as_str().to_owned(),
            message: format!("`{}`: {instead}", hit.as_str()),
        }));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    fn words(files: &[(&str, &str)]) -> Result<Vec<(usize, String)>> {
        let found = violations(&Tree::planted(files)?);
        Ok(found.into_iter().map(|violation| (violation.line, violation.what)).collect())
    }

    #[test]
    fn a_banned_word_is_caught_in_comments_messages_and_names() -> Result<()> {
        let code = "/// Nobody\n// the doorway\nfn lane(door_name: u8) {\n    log(\"so\n    many\");\n}\n";
        let expected = [(1, "Nobody"), (4, "so many"), (3, "lane")];
        assert_eq!(words(&[("lib.rs", code)])?, expected.map(|(line, word)| (line, word.to_owned())));
        Ok(())
    }

    #[test]
    fn a_construction_is_caught_over_a_line_break_of_a_document() -> Result<()> {
        assert_eq!(words(&[("a.md", "First,\nof\nwhich it\n")])?, [(2, "of which".to_owned())]);
        Ok(())
    }

    #[test]
    fn every_expression_is_valid() {
        assert_eq!(EXPRESSIONS.len(), BANNED.len());
    }
}
