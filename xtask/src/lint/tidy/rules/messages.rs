//! Each message that the page on troubleshooting explains is a message of the code.

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule = Rule {
    claim: "messages that troubleshooting explains are messages of the code",
    find: violations,
    allowed: &[],
    list: file!(),
};

/// The page. Its headings of the third level are messages, in which `…` stands for any text.
const PAGE: &str = "docs/troubleshooting.md";
/// Where the messages are.
const PROGRAMS: [&str; 3] = ["snd-host/src/", "isolation-host/src/", "vhost-ring/src/"];

fn violations(tree: &Tree) -> Vec<Violation> {
    let Some(page) = tree.files.get(PAGE) else { return Vec::new() };
    let strings = strings(tree);
    let exists = |message: &str| {
        let parts = || message.split('…').map(str::trim).filter(|part| !part.is_empty());
        strings.iter().any(|string| parts().all(|part| string.contains(part)))
    };
    let unknown = messages(&page.text).into_iter().filter(|(_, message)| !exists(message));
    let violation = |(line, message): (usize, String)| Violation {
        path: PAGE.to_owned(),
        line,
        message: format!("no program has the message `{message}`; correct or remove the section"),
        what: message,
    };
    unknown.map(violation).collect()
}

/// Returns the messages of the page, and their lines.
fn messages(page: &str) -> Vec<(usize, String)> {
    let (mut messages, mut in_heading) = (Vec::new(), false);
    for (event, range) in Parser::new(page).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H3, .. }) => in_heading = true,
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Code(message) if in_heading => {
                messages.push((page[..range.start].matches('\n').count() + 1, message.to_string()));
            }
            _ => {}
        }
    }
    messages
}

/// Returns the strings of the programs, without the line breaks that a backslash joins.
fn strings(tree: &Tree) -> Vec<String> {
    let programs = tree.rust().filter(|(path, ..)| PROGRAMS.iter().any(|program| path.starts_with(program)));
    let strings = programs.flat_map(|(.., rust)| &rust.strings);
    strings
        .map(|string| {
            let joined = string.text.replace("\\\n", " ");
            joined.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_message_that_no_program_has_is_caught() -> Result<()> {
        let code = "fn f() { g(\"cannot open {path}: \\\n    a reason\"); }";
        let page = "### `cannot open …: a reason`\n\nText.\n\n### `cannot close …`\n\n## `other`\n";
        let found = violations(&Tree::planted(&[("snd-host/src/main.rs", code), (PAGE, page)])?);
        let found: Vec<_> = found.iter().map(|it| (it.line, it.what.as_str())).collect();
        assert_eq!(found, [(5, "cannot close …")]);
        Ok(())
    }
}
