//! The parts of a Rust file: comments, strings, identifiers and functions.

use std::str::FromStr as _;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, LineColumn, Span, TokenStream, TokenTree};

/// A Rust file in its parts.
#[derive(Debug, Default)]
pub(super) struct Rust {
    pub(super) tokens: TokenStream,
    /// The lines of all comments, including documentation.
    pub(super) comments: Vec<Piece>,
    /// The string literals, with their quotes.
    pub(super) strings: Vec<Piece>,
    pub(super) identifiers: Vec<Piece>,
    pub(super) functions: Vec<Function>,
}

/// A part of a file. Only a string can span several lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The line of the first character, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of `fn`.
    pub(super) first: usize,
    /// The line of the closing brace.
    pub(super) last: usize,
}

impl Rust {
    /// Splits a file into its parts. Fails if the text is not Rust.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
        let lines = text.split_inclusive('\n');
        let starts = lines.scan(0, |end, line| Some(std::mem::replace(end, *end + line.len())));
        let mut reader = Reader { text, lines: starts.collect(), byte: 0, line: 1, rust: Self::default() };
        reader.read(tokens.clone());
        reader.skip_to(text.len());
        Ok(Self { tokens, ..reader.rust })
    }
}

/// Reads a file from start to end.
struct Reader<'t> {
    text: &'t str,
    /// The position of the first byte of each line.
    lines: Vec<usize>,
    /// The number of bytes read.
    byte: usize,
    /// The line of the next byte.
    line: usize,
    rust: Rust,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        // The name of a function whose body has not come yet, and its line.
        let mut function: Option<(String, usize)> = None;
        let mut after_fn = false;
        for token in tokens {
            let start = self.start(token.span());
            // A doc comment is an attribute whose tokens all start where the comment starts.
            if self.text[start..].starts_with("//") || self.text[start..].starts_with("/*") {
                continue;
            }
            self.skip_to(start);
            let named = std::mem::take(&mut after_fn);
            match token {
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    after_fn = name == "fn";
                    function = if named { Some((name.clone(), self.line)) } else { function };
                    self.pass(start + name.len());
                    self.rust.identifiers.push(Piece { line: self.line, text: name });
                }
                TokenTree::Literal(literal) => self.read_literal(literal.to_string()),
                TokenTree::Punct(punct) => {
                    function = function.filter(|_| punct.as_char() != ';');
                    self.pass(start + 1);
                }
                TokenTree::Group(group) => {
                    self.pass(start + 1);
                    self.read(group.stream());
                    let close = self.start(group.span_close());
                    self.skip_to(close);
                    if group.delimiter() == Delimiter::Brace
                        && let Some((name, first)) = function.take()
                    {
                        self.rust.functions.push(Function { name, first, last: self.line });
                    }
                    self.pass(close + 1);
                }
            }
        }
    }

    /// Returns the first byte of a span. Much faster than [`Span::byte_range`].
    fn start(&self, span: Span) -> usize {
        let LineColumn { line, column } = span.start();
        let start = self.lines.get(line - 1).copied().unwrap_or(self.text.len());
        let line = &self.text[start..];
        if line.as_bytes()[..column].is_ascii() {
            return start + column;
        }
        start + line.chars().take(column).map(char::len_utf8).sum::<usize>()
    }

    fn read_literal(&mut self, text: String) {
        let line = self.line;
        self.pass(self.byte + text.len());
        if text.ends_with(['"', '#']) {
            self.rust.strings.push(Piece { line, text });
        }
    }

    /// Moves to the next token, and records the comments before the token.
    fn skip_to(&mut self, byte: usize) {
        for (index, comment) in self.text[self.byte..byte].split('\n').enumerate() {
            let comment = comment.trim();
            if !comment.is_empty() {
                self.rust.comments.push(Piece { line: self.line + index, text: comment.to_owned() });
            }
        }
        self.pass(byte);
    }

    /// Moves to the end of a token.
    fn pass(&mut self, byte: usize) {
        self.line += self.text[self.byte..byte].matches('\n').count();
        self.byte = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "//! Root.\n/// Doc of `f`.\nfn f<const N: usize>(g: fn(u8)) -> u8 {\n    \
                        let s = \"// no\n comment\"; // trailing\n    /* block\n * two */ 3\n}\nfn g();\n";

    fn pieces(pieces: &[Piece]) -> Vec<(usize, &str)> {
        pieces.iter().map(|piece| (piece.line, piece.text.as_str())).collect()
    }

    #[test]
    fn comments_are_found_in_their_lines() -> Result<()> {
        let rust = Rust::parse(FILE)?;
        let expected =
            [(1, "//! Root."), (2, "/// Doc of `f`."), (5, "// trailing"), (6, "/* block"), (7, "* two */")];
        assert_eq!(pieces(&rust.comments), expected);
        Ok(())
    }

    #[test]
    fn a_string_is_no_comment() -> Result<()> {
        assert_eq!(pieces(&Rust::parse(FILE)?.strings), [(4, "\"// no\n comment\"")]);
        Ok(())
    }

    #[test]
    fn a_function_reaches_from_its_keyword_to_its_brace() -> Result<()> {
        let f = Function { name: "f".to_owned(), first: 3, last: 8 };
        assert_eq!(Rust::parse(FILE)?.functions, [f]);
        Ok(())
    }
}
