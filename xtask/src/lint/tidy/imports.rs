//! The names that a `use` declaration imports.

use proc_macro2::TokenTree;

/// The names in a path, which `::` joins. The path of a crate's root has no names.
pub(super) type Path = Vec<String>;

/// One name that a module imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The name in the module, or `*`.
    pub(super) name: String,
    pub(super) path: Path,
}

/// The names in the tokens between `use` and its semicolon.
pub(super) fn imports(tokens: &[TokenTree]) -> Vec<Import> {
    let mut imports = Vec::new();
    expand(tokens, &[], &mut imports);
    imports
}

fn expand(tokens: &[TokenTree], prefix: &[String], imports: &mut Vec<Import>) {
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    for tokens in tokens.split(comma).filter(|tokens| !tokens.is_empty()) {
        let mut path = prefix.to_vec();
        let mut name = None;
        let mut nested = false;
        let mut words = tokens.iter();
        while let Some(token) = words.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => name = words.next().map(ToString::to_string),
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == '*' => path.push("*".to_owned()),
                TokenTree::Group(group) => {
                    nested = true;
                    expand(&group.stream().into_iter().collect::<Vec<_>>(), &path, imports);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        if !nested {
            let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
            imports.push(Import { name, path });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use anyhow::{Result, anyhow};
    use proc_macro2::TokenStream;

    use super::*;

    #[test]
    fn a_tree_of_imports_is_expanded() -> Result<()> {
        let tokens = TokenStream::from_str("crate::a::{self, b::{C as D, *}, E as _}")
            .map_err(|error| anyhow!("{error}"))?;
        let imports = imports(&tokens.into_iter().collect::<Vec<_>>());
        let shown: Vec<String> =
            imports.iter().map(|it| format!("{}={}", it.name, it.path.join("::"))).collect();
        assert_eq!(shown, ["a=crate::a", "D=crate::a::b::C", "*=crate::a::b::*", "_=crate::a::E"]);
        Ok(())
    }
}
