//! The modules of a library, with the items of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use syn::{Attribute, Ident, Item, Meta, Visibility};

use super::bitflags;

/// The names in a path from the crate's root, which `::` joins. The path of the root has no names.
pub(super) type Names = Vec<String>;

/// A library's source code, without the items that are compiled for tests only.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) modules: BTreeMap<Names, Vec<Item>>,
}

impl Source {
    /// Reads the library of a package.
    pub(super) fn read(package: &str) -> Result<Self> {
        let directory = Path::new(package).join("src");
        let mut source = Self { name: package.replace('-', "_"), modules: BTreeMap::new() };
        let items = items(&directory.join("lib.rs"))?;
        source.add(Names::new(), &directory, items)?;
        Ok(source)
    }

    /// Returns a library named `planted`, whose modules are all in one text.
    #[cfg(test)]
    pub(super) fn planted(text: &str) -> Result<Self> {
        let mut source = Self { name: "planted".to_owned(), modules: BTreeMap::new() };
        source.add(Names::new(), Path::new("nowhere"), syn::parse_file(text)?.items)?;
        Ok(source)
    }

    /// Adds a module. The files of its children are in `directory`.
    fn add(&mut self, module: Names, directory: &Path, items: Vec<Item>) -> Result<()> {
        let mut kept = Vec::new();
        for mut item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            match &mut item {
                Item::Macro(flags) if flags.mac.path.is_ident("bitflags") => {
                    kept.extend(bitflags::expanded(&flags.mac)?);
                    continue;
                }
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let directory = directory.join(&name);
                    let items = child.content.take().map_or_else(|| file(&directory), |(_, items)| Ok(items));
                    self.add(below(&module, &name), &directory, items?)?;
                }
                _ => {}
            }
            kept.push(item);
        }
        self.modules.insert(module, kept);
        Ok(())
    }

    /// Returns the definitions of a name. They differ in their `cfg` attributes.
    pub(super) fn definitions(&self, names: &[String]) -> impl Iterator<Item = &Item> {
        let (module, name) = names.split_last().map_or((None, ""), |(name, of)| (self.modules.get(of), name));
        let items = module.into_iter().flatten();
        items.filter(move |item| parts(item).is_some_and(|parts| parts.name == name))
    }
}

/// Reads a module that has a file of its own.
fn file(directory: &Path) -> Result<Vec<Item>> {
    let single = directory.with_extension("rs");
    items(&if single.exists() { single } else { directory.join("mod.rs") })
}

fn items(file: &Path) -> Result<Vec<Item>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(syn::parse_file(&text).with_context(|| format!("{} is not Rust", file.display()))?.items)
}

/// The parts that all items with a name have.
pub(super) struct Parts<'i> {
    pub(super) attributes: &'i [Attribute],
    pub(super) public: bool,
    pub(super) name: &'i Ident,
}

/// Returns the parts of an item, or `None` for an item without a name.
pub(super) fn parts(item: &Item) -> Option<Parts<'_>> {
    let (attributes, visibility, name) = match item {
        Item::Const(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Enum(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Fn(it) => (&it.attrs, &it.vis, &it.sig.ident),
        Item::Mod(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Static(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Struct(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Trait(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Type(it) => (&it.attrs, &it.vis, &it.ident),
        Item::Union(it) => (&it.attrs, &it.vis, &it.ident),
        _ => return None,
    };
    Some(Parts { attributes, public: is_public(visibility), name })
}

pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns the attributes of an item, which may hide the item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Impl(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        named => parts(named).map_or(&[], |parts| parts.attributes),
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        matches!(&attribute.meta, Meta::List(list)
            if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    })
}

/// Returns the path of a name in a module.
pub(super) fn below(module: &[String], name: &str) -> Names {
    module.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}
