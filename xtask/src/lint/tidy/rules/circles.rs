//! No file imports a file that imports it, directly or through others.
//!
//! A module and its own children may use each other. The root of a crate does not count, because
//! every file is a child of the root.

use std::collections::{BTreeMap, BTreeSet};

use super::super::modules::Modules;
use super::super::tree::Tree;
use super::{Rule, Violation};

pub(super) const RULE: Rule =
    Rule { claim: "no file imports a file that imports it", find: violations, allowed: &[], list: file!() };

/// For each file, the files that it imports, each with one of the imported names.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// Returns the number of circles of each crate, as text.
pub(in super::super) fn per_crate(tree: &Tree) -> String {
    let numbers = tree.packages().into_iter().map(|name| format!("{name} {}", circles_of(tree, name).len()));
    format!("circles: {}", numbers.collect::<Vec<_>>().join(", "))
}

fn violations(tree: &Tree) -> Vec<Violation> {
    tree.packages().into_iter().flat_map(|package| circles_of(tree, package)).collect()
}

/// Returns the circles in all crates of a package. A circle in a file that two crates share counts
/// once.
fn circles_of(tree: &Tree, package: &str) -> Vec<Violation> {
    let mut circles = BTreeMap::new();
    for target in tree.targets.iter().filter(|target| target.package == package) {
        let imports = imports(&Modules::of(tree, &target.root));
        for files in circles_in(&imports) {
            circles.entry(files.clone()).or_insert_with(|| violation(&files, &imports));
        }
    }
    circles.into_values().collect()
}

fn imports(modules: &Modules) -> Imports {
    let mut imports = Imports::new();
    for (at, module) in &modules.list {
        let used = module.imports.iter().map(|import| &import.path).chain(&module.paths);
        for path in used {
            let Some(to) = modules.resolve(at, path) else { continue };
            let target = &modules.list[&to];
            let own_part = to.starts_with(&module.whole);
            if !own_part && !target.whole.is_empty() && target.file != module.file {
                let name = path.last().cloned().unwrap_or_default();
                imports.entry(module.file.clone()).or_default().entry(target.file.clone()).or_insert(name);
            }
        }
    }
    imports
}

/// Returns the largest sets of files in which each file imports each other file, directly or
/// through other files.
fn circles_in(imports: &Imports) -> BTreeSet<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reached_from(file, imports))).collect();
    let leads = |from: &String, to: &String| reached.get(from).is_some_and(|reached| reached.contains(to));
    let circle = |file: &&String| -> BTreeSet<String> {
        let mutual = reached.keys().filter(|other| leads(file, other) && leads(other, file));
        mutual.map(|file| (*file).clone()).collect()
    };
    reached.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

fn reached_from<'i>(file: &String, imports: &'i Imports) -> BTreeSet<&'i String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = imports.get(file).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(imports.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

fn violation(circle: &BTreeSet<String>, imports: &Imports) -> Violation {
    let inside = circle.iter().flat_map(|from| imports[from].iter().map(move |(to, name)| (from, to, name)));
    let arrows = inside.filter(|(_, to, _)| circle.contains(*to));
    let arrows: Vec<String> =
        arrows.map(|(from, to, name)| format!("{from} imports {name} of {to}")).collect();
    Violation {
        path: circle.first().cloned().unwrap_or_default(),
        line: 1,
        what: circle.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        message: format!(
            "circle of {} files; move what they share below them: {}",
            circle.len(),
            arrows.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    fn circles(files: &[(&str, &str)]) -> Result<Vec<String>> {
        Ok(violations(&Tree::planted(files)?).into_iter().map(|it| it.what).collect())
    }

    #[test]
    fn a_circle_of_two_files_is_caught() -> Result<()> {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; fn f() { super::a::A; }"),
            ("c.rs", "use crate::{a::A, b::B};"),
        ];
        assert_eq!(circles(&files)?, ["a.rs b.rs"]);
        Ok(())
    }

    #[test]
    fn a_reexport_is_followed_to_the_file_that_defines_the_name() -> Result<()> {
        let files = [
            ("lib.rs", "mod w; mod a;"),
            ("w/mod.rs", "mod x; mod y; pub use x::X as Z; pub use self::y::*;"),
            ("w/x.rs", "use crate::a::A; pub struct X;"),
            ("w/y.rs", "pub struct Y;"),
            ("a.rs", "use crate::w::{self, Y}; pub struct A; fn f(_: w::Z) {}"),
        ];
        assert_eq!(circles(&files)?, ["a.rs w/x.rs"]);
        let files =
            files.map(
                |(path, text)| {
                    if path == "a.rs" { (path, "use crate::w::Y; pub struct A;") } else { (path, text) }
                },
            );
        assert_eq!(circles(&files)?, [""; 0]);
        Ok(())
    }

    #[test]
    fn a_parent_with_its_children_and_tests_make_no_circle() -> Result<()> {
        let files = [
            ("lib.rs", "mod a; mod b; struct Root;"),
            ("a/mod.rs", "mod c; use c::C; pub struct A; mod inside { use super::c::C; }"),
            ("a/c.rs", "use super::A; use crate::Root; pub struct C;"),
            ("b.rs", "use crate::a::A; pub struct B;"),
            ("a/unused.rs", ""),
        ];
        assert_eq!(circles(&files)?, [""; 0]);
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"),
            ("b.rs", "use crate::a::A; pub struct B;"),
        ];
        assert_eq!(circles(&files)?, [""; 0]);
        Ok(())
    }
}
