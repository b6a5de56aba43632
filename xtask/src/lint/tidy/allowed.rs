//! Violations of rules, and lists of intended violations.

use std::fmt;

/// One violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// The file, from the project's root.
    pub(super) path: String,
    /// The line, counted from 1.
    pub(super) line: usize,
    /// The offending word, function or path. [`Allowed`] compares it.
    pub(super) what: String,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message, .. } = self;
        write!(f, "{path}:{line}: {message}")
    }
}

/// An intended violation: the start of the file's path, [`Violation::what`], and the reason.
pub(super) type Allowed = (&'static str, &'static str, &'static str);

/// Removes the violations that are allowed, and adds a violation for each entry that allows
/// nothing.
///
/// `list` is the file with the entries.
pub(super) fn excuse(violations: Vec<Violation>, allowed: &[Allowed], list: &str) -> Vec<Violation> {
    let covers = |(path, what, _): &Allowed, of: &Violation| {
        of.path.starts_with(path) && of.what.eq_ignore_ascii_case(what)
    };
    let stale = allowed.iter().filter(|entry| !violations.iter().any(|violation| covers(entry, violation)));
    let stale = stale.map(|(path, what, _)| Violation {
        path: list.to_owned(),
        line: 1,
        what: (*what).to_owned(),
        message: format!("`{what}` is allowed in {path} and does not occur there; remove the entry"),
    });
    let stale: Vec<Violation> = stale.collect();
    let mut left = violations;
    left.retain(|violation| !allowed.iter().any(|entry| covers(entry, violation)));
    left.extend(stale);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(path: &str, what: &str) -> Violation {
        Violation { path: path.to_owned(), line: 3, what: what.to_owned(), message: String::new() }
    }

    #[test]
    fn an_allowed_violation_is_removed_and_another_stays() {
        let found = vec![violation("a/b.rs", "Word"), violation("c.rs", "word")];
        let left = excuse(found, &[("a/", "word", "why")], "list.rs");
        assert_eq!(left, [violation("c.rs", "word")]);
    }

    #[test]
    fn an_entry_that_allows_nothing_is_a_violation() {
        let left = excuse(Vec::new(), &[("a/", "word", "why")], "list.rs");
        assert_eq!(
            left[0].to_string(),
            "list.rs:1: `word` is allowed in a/ and does not occur there; remove the entry"
        );
    }
}
