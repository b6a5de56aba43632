//! The modules of one crate, as `mod` declares them, with the imports of each module.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenTree};

use super::imports::{Import, Path, imports};
use super::tree::{Tree, joined, parent};

/// Keywords that are followed by the name of a definition.
const DEFINING: [&str; 9] = ["struct", "enum", "trait", "union", "fn", "type", "const", "static", "macro"];

/// All modules of a crate.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) list: BTreeMap<Path, Module>,
    /// The files that `mod` or `include!` name, and the root.
    pub(super) files: BTreeSet<String>,
}

/// One module.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: String,
    /// The module whose body is the whole file. For a module in braces, this is another module.
    pub(super) whole: Path,
    pub(super) imports: Vec<Import>,
    /// The paths of at least two names in the code.
    pub(super) paths: BTreeSet<Path>,
    pub(super) defined: BTreeSet<String>,
}

/// The module that is being read.
#[derive(Debug, Clone)]
struct Place {
    module: Path,
    /// The directory with the files of the module's children.
    directory: String,
    /// Whether the module is compiled for tests only. Imports of such a module do not count.
    test: bool,
}

impl Modules {
    /// Reads the crate with this root.
    pub(super) fn of(tree: &Tree, root: &str) -> Self {
        let mut modules = Self::default();
        let place = Place { module: Path::new(), directory: parent(root).to_owned(), test: false };
        modules.read_file(tree, root, &place);
        modules
    }

    fn read_file(&mut self, tree: &Tree, file: &str, place: &Place) {
        let Some(rust) = tree.files.get(file).and_then(|source| source.rust.as_ref()) else { return };
        self.files.insert(file.to_owned());
        let module = Module { file: file.to_owned(), whole: place.module.clone(), ..Module::default() };
        self.list.insert(place.module.clone(), module);
        let tokens: Vec<TokenTree> = rust.tokens.clone().into_iter().collect();
        self.read(tree, &tokens, place);
    }

    fn read(&mut self, tree: &Tree, mut tokens: &[TokenTree], place: &Place) {
        // The value of `#[path = "…"]` for the next module.
        let mut path = None;
        // Whether `#[cfg(test)]` stands before the next item.
        let mut test = false;
        while let Some((first, rest)) = tokens.split_first() {
            tokens = rest;
            match (first, rest) {
                (TokenTree::Punct(mark), [TokenTree::Group(attribute), rest @ ..])
                    if mark.as_char() == '#' =>
                {
                    let attribute: String = attribute.stream().to_string().split_whitespace().collect();
                    test |= attribute == "cfg(test)";
                    path = unquoted(attribute.strip_prefix("path=")).or(path);
                    tokens = rest;
                }
                (TokenTree::Ident(word), _) if word == "mod" => {
                    let place = Place { test: test || place.test, ..place.clone() };
                    tokens = self.read_module(tree, rest, &place, path.take());
                    test = false;
                }
                _ if test => {
                    tokens = after_item(first, rest);
                    test = false;
                }
                (TokenTree::Ident(word), _) => tokens = self.read_word(tree, &word.to_string(), rest, place),
                (TokenTree::Group(group), _) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.read(tree, &inner, place);
                }
                _ => {}
            }
        }
    }

    /// Reads what follows `mod`, and returns the tokens after it.
    fn read_module<'t>(
        &mut self,
        tree: &Tree,
        tokens: &'t [TokenTree],
        place: &Place,
        path: Option<String>,
    ) -> &'t [TokenTree] {
        let [TokenTree::Ident(name), body, rest @ ..] = tokens else { return tokens };
        let name = name.to_string();
        let mut child = Place { directory: joined(&place.directory, &name), ..place.clone() };
        child.module.push(name.clone());
        match body {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let around = &self.list[&place.module];
                let inside =
                    Module { file: around.file.clone(), whole: around.whole.clone(), ..Module::default() };
                self.list.insert(child.module.clone(), inside);
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                self.read(tree, &inner, &child);
            }
            _ if path.is_some() => {
                let file = joined(parent(&self.list[&place.module].file), &path.unwrap_or_default());
                child.directory = parent(&file).to_owned();
                self.read_file(tree, &file, &child);
            }
            _ => {
                let files = [format!("{}.rs", child.directory), format!("{}/mod.rs", child.directory)];
                files.iter().for_each(|file| self.read_file(tree, file, &child));
            }
        }
        rest
    }

    /// Reads the declaration or path that begins with `word`. Returns the tokens that follow.
    fn read_word<'t>(
        &mut self,
        tree: &Tree,
        word: &str,
        rest: &'t [TokenTree],
        place: &Place,
    ) -> &'t [TokenTree] {
        match (word, rest) {
            ("use", _) => {
                let end = rest.iter().position(|token| is(token, ';')).unwrap_or(rest.len());
                let (tokens, rest) = rest.split_at(end);
                self.note(place, |module| module.imports.extend(imports(tokens)));
                return rest;
            }
            ("include", [_, TokenTree::Group(file), ..]) => {
                if let Some(file) = unquoted(Some(&file.stream().to_string())) {
                    let file = joined(parent(&self.list[&place.module].file), &file);
                    self.files.extend(tree.has(&file).then_some(file));
                }
            }
            ("macro_rules", [_, TokenTree::Ident(name), ..]) => self.define(place, &name.to_string()),
            (_, [TokenTree::Ident(name), ..]) if DEFINING.contains(&word) => {
                self.define(place, &name.to_string())
            }
            _ => {
                let (path, rest) = path(word, rest);
                if path.len() > 1 {
                    self.note(place, |module| module.paths.extend([path]));
                }
                return rest;
            }
        }
        rest
    }

    fn define(&mut self, place: &Place, name: &str) {
        if let Some(module) = self.list.get_mut(&place.module) {
            module.defined.insert(name.to_owned());
        }
    }

    fn note(&mut self, place: &Place, note: impl FnOnce(&mut Module)) {
        if !place.test
            && let Some(module) = self.list.get_mut(&place.module)
        {
            note(module);
        }
    }
}

/// Returns the names of a path that starts with this word, and the tokens after the path.
fn path<'t>(first: &str, mut tokens: &'t [TokenTree]) -> (Path, &'t [TokenTree]) {
    let mut path = vec![first.to_owned()];
    while let [a, b, TokenTree::Ident(name), rest @ ..] = tokens
        && is(a, ':')
        && is(b, ':')
    {
        path.push(name.to_string());
        tokens = rest;
    }
    (path, tokens)
}

/// Returns the tokens after an item that starts with `first`: after a semicolon or a block.
fn after_item<'t>(first: &TokenTree, rest: &'t [TokenTree]) -> &'t [TokenTree] {
    let ends = |token: &TokenTree| {
        is(token, ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    if ends(first) {
        return rest;
    }
    let end = rest.iter().position(ends).map_or(rest.len(), |end| end + 1);
    rest.get(end..).unwrap_or_default()
}

fn is(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn unquoted(literal: Option<&str>) -> Option<String> {
    Some(literal?.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}
