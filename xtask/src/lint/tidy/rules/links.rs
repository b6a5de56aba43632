//! Links between documents lead to a file or a heading, and paths in documents exist.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::super::tree::{Tree, joined, parent};
use super::{Rule, Violation};

pub(super) const RULE: Rule = Rule {
    claim: "links and paths in documents lead to a file or a heading",
    find: violations,
    allowed: &[],
    list: file!(),
};

/// A piece of code in a document that ends with one of these extensions is a path.
const EXTENSIONS: [&str; 4] = [".rs", ".md", ".toml", ".txt"];

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, source) in tree.markdown() {
        for (event, range) in Parser::new(&source.text).into_offset_iter() {
            let broken = match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    (!leads(tree, path, &dest_url)).then(|| dest_url.to_string())
                }
                Event::Code(code) => (is_path(&code) && !exists(tree, path, &code)).then(|| code.to_string()),
                _ => None,
            };
            violations.extend(broken.map(|target| Violation {
                path: path.to_owned(),
                line: source.text[..range.start].matches('\n').count() + 1,
                message: format!("`{target}` does not exist; correct or remove it"),
                what: target,
            }));
        }
    }
    violations
}

/// Returns whether a link leads outside the project, or to a file and, after `#`, one of the file's
/// headings.
fn leads(tree: &Tree, document: &str, link: &str) -> bool {
    if link.contains("://") {
        return true;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let path = if path.is_empty() { document.to_owned() } else { joined(parent(document), path) };
    tree.has(&path) && (heading.is_empty() || headings(tree, &path).contains(heading))
}

/// Returns the headings of a document as links name them: in lower case, with words joined by
/// hyphens.
fn headings(tree: &Tree, path: &str) -> BTreeSet<String> {
    let text = tree.files.get(path).map_or("", |source| source.text.as_str());
    let mut headings = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(text) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::End(TagEnd::Heading(_)), _) => headings.extend(heading.take().map(|text| slug(&text))),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
            _ => {}
        }
    }
    headings
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns whether a piece of code in a document is the path of a file.
fn is_path(code: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let named = code.ends_with('/') || EXTENSIONS.iter().any(|extension| code.ends_with(extension));
    code.contains('/')
        && !code.starts_with(['/', '.'])
        && !code.starts_with("target/")
        && code.chars().all(plain)
        && named
}

/// Returns whether a path exists below the root, the document's directory, or a package or its
/// sources.
fn exists(tree: &Tree, document: &str, path: &str) -> bool {
    let packages = tree.files.keys().filter_map(|file| file.strip_suffix("Cargo.toml"));
    let mut places = packages.flat_map(|package| [package.to_owned(), format!("{package}src")]);
    tree.has(path)
        || tree.has(&joined(parent(document), path))
        || places.any(|at| tree.has(&joined(&at, path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_link_to_nothing_is_caught() -> Result<()> {
        let document = "# A heading: `x`\n[a](b/c.md) [b](#a-heading-x) [c](https://x.org) [d](b/)\n\n\
                        [e](gone.md) [f](#gone)\n[g](b/c.md#gone) ![h](gone.png)\n";
        let found = violations(&Tree::planted(&[("a.md", document), ("b/c.md", "# C\n")])?);
        let found: Vec<_> = found.iter().map(|it| (it.line, it.what.as_str())).collect();
        assert_eq!(found, [(4, "gone.md"), (4, "#gone"), (5, "b/c.md#gone"), (5, "gone.png")]);
        Ok(())
    }

    #[test]
    fn a_path_to_nothing_is_caught() -> Result<()> {
        let document =
            "`k/src/w/x.rs` `src/w/x.rs` `w/` `x.rs` `a/b` `target/x.rs` `/run/x.rs`\n\n`src/gone.rs`\n";
        let files = [("k/src/w/x.rs", ""), ("k/Cargo.toml", ""), ("a.md", document)];
        let found = violations(&Tree::planted(&files)?);
        assert_eq!(
            found.iter().map(|it| (it.line, it.what.as_str())).collect::<Vec<_>>(),
            [(3, "src/gone.rs")]
        );
        Ok(())
    }
}
