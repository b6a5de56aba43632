//! The prose of a file: comments, messages and documents, joined to whole sentences.

use super::tree::Source;

/// Consecutive lines of prose, joined by spaces.
#[derive(Debug)]
pub(super) struct Passage {
    text: String,
    /// For each line, its start in the text and its number in the file.
    lines: Vec<(usize, usize)>,
}

impl Passage {
    fn new() -> Self {
        Self { text: String::new(), lines: Vec::new() }
    }

    fn push(&mut self, line: usize, text: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.lines.push((self.text.len(), line));
        self.text.push_str(text);
    }

    /// Returns the text without line breaks.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the line in the file, counted from 1, of a byte of the text.
    pub(super) fn line(&self, byte: usize) -> usize {
        self.lines.iter().rev().find(|(start, _)| *start <= byte).map_or(1, |(_, line)| *line)
    }
}

/// Returns the comments and strings of a Rust file, or the whole text of another file.
pub(super) fn passages(source: &Source) -> Vec<Passage> {
    let mut passages = Vec::new();
    if let Some(rust) = &source.rust {
        let comments = rust.comments.iter().map(|comment| (comment.line, comment.text.as_str()));
        join(comments, &mut passages);
        for string in &rust.strings {
            join(numbered(&string.text, string.line), &mut passages);
        }
    } else {
        join(numbered(&source.text, 1), &mut passages);
    }
    passages
}

fn numbered(text: &str, first: usize) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(move |(index, line)| (first + index, line))
}

/// Joins consecutive lines. An empty line ends a passage.
fn join<'t>(lines: impl Iterator<Item = (usize, &'t str)>, passages: &mut Vec<Passage>) {
    let mut passage = Passage::new();
    let mut last = 0;
    for (line, text) in lines {
        let text = bare(text);
        if text.is_empty() || line > last + 1 {
            passages.extend(finished(&mut passage));
        }
        last = line;
        if !text.is_empty() {
            passage.push(line, &text);
        }
    }
    passages.extend(finished(&mut passage));
}

fn finished(passage: &mut Passage) -> Option<Passage> {
    let passage = std::mem::replace(passage, Passage::new());
    (!passage.text.is_empty()).then_some(passage)
}

/// Removes the marks of a comment, a quotation or a heading from a line.
fn bare(line: &str) -> String {
    let line = line.trim().trim_start_matches(['/', '!', '*', '#', '>', '"', '|']);
    let words = line.trim_end_matches('\\').replace("\\n", " ");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;
    use anyhow::Result;

    #[test]
    fn a_sentence_over_two_comment_lines_is_one_passage() -> Result<()> {
        let tree = Tree::planted(&[("lib.rs", "//! One\n//! sentence.\n\n// Another.\n")])?;
        let passages = passages(&tree.files["lib.rs"]);
        let texts: Vec<&str> = passages.iter().map(Passage::text).collect();
        assert_eq!(texts, ["One sentence.", "Another."]);
        assert_eq!((passages[0].line(3), passages[0].line(4)), (1, 2));
        Ok(())
    }
}
