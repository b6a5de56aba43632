//! The names under which a library's items can be reached from outside.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item, ItemUse};

use super::names::imports;
use super::source::{Names, Source, below, is_public, parts};
use super::text::kept;

/// One way to reach an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Export {
    pub(super) names: Names,
    /// The `cfg` attributes of the item and of the modules and re-exports that lead to it.
    pub(super) condition: String,
}

/// The public items.
#[derive(Debug, Default)]
pub(super) struct Public {
    /// The definitions with their exports.
    pub(super) items: BTreeMap<Names, BTreeSet<Export>>,
    /// The exports of other crates' items, with the path of each.
    pub(super) foreign: BTreeMap<Export, Names>,
}

impl Public {
    /// Returns the items that can be reached from the root of a library.
    pub(super) fn of(source: &Source) -> Self {
        let mut public = Self::default();
        let root = Export { names: Names::new(), condition: String::new() };
        public.walk(source, &Names::new(), &root);
        public
    }

    /// Returns the shortest export of a definition, which names the definition in the list.
    pub(super) fn name(&self, definition: &[String]) -> Option<&Export> {
        self.items.get(definition)?.iter().min_by_key(|export| export.names.len())
    }

    /// Collects what `module` exports, where `export` leads to the module.
    fn walk(&mut self, source: &Source, module: &Names, export: &Export) {
        for item in source.modules.get(module).into_iter().flatten() {
            match (item, parts(item)) {
                (Item::Use(declaration), _) if is_public(&declaration.vis) => {
                    self.re_export(source, module, export, declaration);
                }
                (_, Some(parts)) if parts.public => {
                    let name = parts.name.to_string();
                    self.add(source, below(module, &name), export.then(&name, parts.attributes));
                }
                _ => {}
            }
        }
    }

    fn re_export(&mut self, source: &Source, module: &Names, export: &Export, declaration: &ItemUse) {
        for import in imports(declaration) {
            let to = export.then(&import.name, &declaration.attrs);
            match source.resolve(module, &import.path) {
                Some(from) if import.name == "*" => self.walk(source, &from, export),
                Some(from) => self.add(source, from, to),
                None => drop(self.foreign.insert(to, import.path)),
            }
        }
    }

    fn add(&mut self, source: &Source, definition: Names, export: Export) {
        let new = self.items.entry(definition.clone()).or_default().insert(export.clone());
        if new && source.modules.contains_key(&definition) {
            self.walk(source, &definition, &export);
        }
    }
}

impl Export {
    fn then(&self, name: &str, attributes: &[Attribute]) -> Self {
        let condition = format!("{}{}", self.condition, kept(attributes, &["cfg"]));
        Self { names: below(&self.names, name), condition }
    }
}
