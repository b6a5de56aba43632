//! Resolves names to definitions. Re-exports are followed.

use syn::{Item, ItemUse, UseTree};

use super::source::{Names, Source, below};

/// The longest chain of re-exports that is followed. Globs can form loops.
const DEPTH: usize = 8;

/// One name that a `use` declaration brings in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The name in the module, or `*`.
    pub(super) name: String,
    /// The path; for a glob, the path before `*`.
    pub(super) path: Names,
}

impl Source {
    /// Returns the names of the definition or module that `path` means in `module`, or `None` for a
    /// path into another crate.
    pub(super) fn resolve(&self, module: &[String], path: &[String]) -> Option<Names> {
        self.follow(module, path, 0)
    }

    fn follow(&self, module: &[String], path: &[String], depth: usize) -> Option<Names> {
        if depth > DEPTH {
            return None;
        }
        let mut here = module.to_vec();
        for (at, name) in path.iter().enumerate() {
            here = match name.as_str() {
                "crate" => Names::new(),
                "self" => here,
                "super" => here.split_last()?.1.to_vec(),
                name if at + 1 < path.len() => self.step_into(&here, name, depth)?,
                name => self.last_step(&here, name, depth)?,
            }
        }
        Some(here)
    }

    /// Resolves a name that other names follow. A module takes precedence over any other definition
    /// of the same name.
    fn step_into(&self, here: &[String], name: &str, depth: usize) -> Option<Names> {
        self.child(here, name).or_else(|| self.imported(here, name, depth))
    }

    /// Resolves the last name of a path. Any other definition takes precedence over a module of the
    /// same name.
    fn last_step(&self, here: &[String], name: &str, depth: usize) -> Option<Names> {
        let names = below(here, name);
        if self.definitions(&names).any(|item| !matches!(item, Item::Mod(_))) {
            return Some(names);
        }
        self.imported(here, name, depth).or_else(|| self.child(here, name))
    }

    fn imported(&self, here: &[String], name: &str, depth: usize) -> Option<Names> {
        let uses = self.modules.get(here)?.iter().filter_map(as_use);
        let imports: Vec<Import> = uses.flat_map(imports).collect();
        let named = imports.iter().filter(|import| import.name == name);
        let globs = imports.iter().filter(|import| import.name == "*");
        let named = named.filter_map(|import| self.follow(here, &import.path, depth + 1));
        let mut found = named.chain(globs.filter_map(|glob| {
            let from = self.follow(here, &glob.path, depth + 1)?;
            self.last_step(&from, name, depth + 1)
        }));
        found.next()
    }

    fn child(&self, here: &[String], name: &str) -> Option<Names> {
        let child = below(here, name);
        self.modules.contains_key(&child).then_some(child)
    }
}

fn as_use(item: &Item) -> Option<&ItemUse> {
    match item {
        Item::Use(import) => Some(import),
        _ => None,
    }
}

/// Returns the names that a `use` declaration brings in.
pub(super) fn imports(declaration: &ItemUse) -> Vec<Import> {
    let mut imports = Vec::new();
    expand(&declaration.tree, &[], &mut imports);
    imports
}

fn expand(tree: &UseTree, prefix: &[String], imports: &mut Vec<Import>) {
    match tree {
        UseTree::Path(path) => expand(&path.tree, &below(prefix, &path.ident.to_string()), imports),
        UseTree::Group(group) => group.items.iter().for_each(|tree| expand(tree, prefix, imports)),
        UseTree::Glob(_) => imports.push(Import { name: "*".to_owned(), path: prefix.to_vec() }),
        UseTree::Rename(rename) => {
            let path = below(prefix, &rename.ident.to_string());
            imports.push(Import { name: rename.rename.to_string(), path });
        }
        UseTree::Name(name) if name.ident == "self" => {
            imports.extend(prefix.last().map(|name| Import { name: name.clone(), path: prefix.to_vec() }));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            imports.push(Import { path: below(prefix, &name), name });
        }
    }
}
