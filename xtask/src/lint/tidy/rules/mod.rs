//! The rules. Each rule has a file of its own.

pub(super) mod circles;
mod citations;
mod comment_width;
mod dead_files;
mod file_length;
mod function_length;
mod links;
mod marks;
mod messages;
mod name_length;
mod unsafe_code;
mod words;

use super::allowed::{Allowed, Violation, excuse};
use super::tree::Tree;

/// All rules.
pub(super) const RULES: [Rule; 12] = [
    unsafe_code::RULE,
    comment_width::RULE,
    words::RULE,
    file_length::RULE,
    function_length::RULE,
    name_length::RULE,
    citations::RULE,
    links::RULE,
    marks::RULE,
    messages::RULE,
    dead_files::RULE,
    circles::RULE,
];

/// A rule of the style guide.
#[derive(Debug)]
pub(super) struct Rule {
    /// The text of the rule.
    pub(super) claim: &'static str,
    find: fn(&Tree) -> Vec<Violation>,
    allowed: &'static [Allowed],
    /// The file with the list of allowed violations.
    list: &'static str,
}

impl Rule {
    /// Returns the violations of the rule that are not allowed.
    pub(super) fn violations(&self, tree: &Tree) -> Vec<Violation> {
        excuse((self.find)(tree), self.allowed, self.list)
    }
}
