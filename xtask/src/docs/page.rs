//! The commands of a document, and the output that the document promises.

use std::fmt;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// The comment before commands that are run.
const RUN: &str = "<!-- run -->";
/// The comment before lines that the commands above print.
const OUTPUT: &str = "<!-- output -->";
/// The start of the paragraph before commands that are not run. The reason follows.
const NOT_RUN: &str = "Not run here: ";

/// The commands of a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The blocks of commands that are run, in one shell and in their order.
    pub(super) run: Vec<Block>,
    /// The lines that these commands print, among others, in this order.
    pub(super) output: Vec<Block>,
    /// The blocks that are not run, each with the reason as its text.
    pub(super) not_run: Vec<Block>,
}

/// A block of code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The line of the document at which the block starts.
    pub(super) line: usize,
    pub(super) text: String,
}

/// Commands without a mark that says whether they are run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmarked {
    /// The line of the document at which the commands start.
    pub(crate) line: usize,
}

impl fmt::Display for Unmarked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commands need `{RUN}` before them, or a paragraph that starts with `{NOT_RUN}`")
    }
}

impl std::error::Error for Unmarked {}

/// What precedes a block.
#[derive(Debug, Default)]
enum Before {
    Comment(String),
    Paragraph(String),
    #[default]
    Other,
}

impl Page {
    /// Reads the blocks of a document.
    ///
    /// # Errors
    /// Fails if the document does not say of a block of commands whether the block is run.
    pub(crate) fn parse(text: &str) -> Result<Self, Unmarked> {
        let (mut page, mut before) = (Self::default(), Before::default());
        let mut block: Option<(bool, Block)> = None;
        for (event, range) in Parser::new(text).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some((&*language == "sh", Block { line, text: String::new() }));
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some((is_shell, block)) = block.take() {
                        page.add(is_shell, block, &before)?;
                    }
                    before = Before::Other;
                }
                Event::Start(Tag::Paragraph) => before = Before::Paragraph(String::new()),
                Event::SoftBreak => {
                    if let Before::Paragraph(paragraph) = &mut before {
                        paragraph.push(' ');
                    }
                }
                Event::Text(part) | Event::Code(part) => {
                    if let Some((_, block)) = &mut block {
                        block.text.push_str(&part);
                    } else if let Before::Paragraph(paragraph) = &mut before {
                        paragraph.push_str(&part);
                    }
                }
                Event::Html(comment) => before = Before::Comment(comment.trim().to_owned()),
                Event::Start(Tag::Heading { .. } | Tag::Item) => before = Before::Other,
                _ => {}
            }
        }
        Ok(page)
    }

    fn add(&mut self, is_shell: bool, block: Block, before: &Before) -> Result<(), Unmarked> {
        match before {
            Before::Comment(comment) if comment == RUN => self.run.push(block),
            Before::Comment(comment) if comment == OUTPUT => self.output.push(block),
            Before::Paragraph(text) if is_shell && text.starts_with(NOT_RUN) => {
                let reason = text.trim_start_matches(NOT_RUN).to_owned();
                self.not_run.push(Block { line: block.line, text: reason });
            }
            _ if is_shell => return Err(Unmarked { line: block.line }),
            _ => {}
        }
        Ok(())
    }

    /// Returns one script of all blocks that are run. What runs in the background ends with it.
    pub(super) fn script(&self) -> String {
        let mut script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n".to_owned();
        for block in &self.run {
            script.push_str(&format!("echo '{} {}'\n{}", Self::AT, block.line, block.text));
        }
        script
    }

    /// The start of the line that the script prints before each block, followed by its line number.
    pub(super) const AT: &str = "-- commands at line";

    /// Returns the first promised line that the output does not have.
    pub(super) fn missing<'p>(&'p self, output: &str) -> Option<&'p str> {
        let mut printed = output.lines();
        let promised = self.output.iter().flat_map(|block| block.text.lines());
        promised.filter(|line| !line.trim().is_empty()).find(|line| !printed.any(|it| matches(line, it)))
    }
}

/// Whether a printed line is as promised, where `…` stands for any text.
fn matches(promised: &str, printed: &str) -> bool {
    let mut parts = promised.trim().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.trim().strip_prefix(first) else { return false };
    let mut open_end = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open_end = part.is_empty();
    }
    open_end || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# A page

<!-- run -->
```sh
echo a b c
```

<!-- output -->
```text
a … c
```

Not run here: there is no *virtual* machine.

```sh
virsh start x
```

```xml
<domain/>
```
";

    #[test]
    fn commands_and_their_output_are_read() -> Result<(), Unmarked> {
        let page = Page::parse(DOCUMENT)?;
        assert_eq!(page.run, [Block { line: 4, text: "echo a b c\n".to_owned() }]);
        let reason = "there is no virtual machine.".to_owned();
        assert_eq!(page.not_run, [Block { line: 15, text: reason }]);
        assert_eq!(page.missing("x\na b c\n"), None);
        assert_eq!(page.missing("x\na b c d\n"), Some("a … c"));
        assert!(page.script().contains("line 4'\necho a b c\n"));
        Ok(())
    }

    #[test]
    fn commands_without_a_mark_are_an_error() {
        let page = Page::parse("Text.\n\n```sh\nls\n```\n");
        assert_eq!(page, Err(Unmarked { line: 3 }));
    }

    #[test]
    fn an_ellipsis_stands_for_any_text() {
        assert!(matches("a…c…", "abc and d") && matches("…", "") && matches("a", " a "));
        assert!(!matches("a…c", "ab") && !matches("b…", "ab") && !matches("…c", "cd"));
    }
}
