//! Signatures as text.

use quote::ToTokens;
use regex::{Captures, Regex};
use syn::Attribute;

/// The attributes that are a part of the API.
pub(super) const ATTRIBUTES: [&str; 4] = ["cfg", "non_exhaustive", "repr", "deprecated"];
/// The spaces that the text of a token stream has and that code does not have.
const SPACES: [(&str, &str); 18] = [
    (" ,", ","),
    (" ;", ";"),
    (" :: ", "::"),
    (":: ", "::"),
    (" :", ":"),
    (" <", "<"),
    ("< ", "<"),
    (" >", ">"),
    ("& ", "&"),
    ("* const", "*const"),
    ("* mut", "*mut"),
    ("? Sized", "?Sized"),
    ("# [", "#["),
    (",)", ")"),
    (", >", ">"),
    (",>", ">"),
    (", }", " }"),
    ("=<", "= <"),
];

/// Returns tokens as code, in one line.
pub(super) fn text(tokens: impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (from, to) in SPACES {
        text = text.replace(from, to);
    }
    let text = text.trim_end_matches(',');
    // A parameter list, but not the tuple in `-> (A, B)`.
    match Regex::new(r"(\w|[^-]>) \(") {
        Ok(list) => list.replace_all(text, |found: &Captures<'_>| format!("{}(", &found[1])).into_owned(),
        Err(_) => text.to_owned(),
    }
}

/// Returns the attributes with one of these names, each with a space after it.
pub(super) fn kept(attributes: &[Attribute], names: &[&str]) -> String {
    let kept = attributes.iter().filter(|it| names.iter().any(|name| it.path().is_ident(name)));
    kept.map(|attribute| format!("{} ", text(attribute))).collect()
}
