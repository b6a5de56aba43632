//! Resolves paths to modules. Re-exports are followed to the module that defines the name.

use super::imports::{Import, Path};
use super::modules::Modules;

/// The longest chain of re-exports that is followed. Globs can form loops.
const DEPTH: usize = 8;

impl Modules {
    /// Returns the module that defines what `path` names in module `at`, or `None` for a path into
    /// another crate.
    pub(super) fn resolve(&self, at: &Path, path: &[String]) -> Option<Path> {
        self.follow(at, path, 0)
    }

    fn follow(&self, at: &Path, path: &[String], depth: usize) -> Option<Path> {
        if depth > DEPTH {
            return None;
        }
        let (mut here, mut rest) = self.start(at, path, depth)?;
        while let [name, more @ ..] = rest
            && let Some(child) = self.child(&here, name)
        {
            (here, rest) = (child, more);
        }
        match rest {
            [] => Some(here),
            [name, ..] if name == "*" => Some(here),
            [name, more @ ..] => self.exported(&here, name, more, depth).or(Some(here)),
        }
    }

    /// Resolves the first name of a path. Returns its module and the names that are left.
    fn start<'p>(&self, at: &Path, path: &'p [String], depth: usize) -> Option<(Path, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Path::new(), rest)),
            "self" => Some((at.clone(), rest)),
            "super" => {
                let supers = path.iter().take_while(|name| *name == "super").count();
                Some((at[..at.len().checked_sub(supers)?].to_vec(), &path[supers..]))
            }
            name if self.child(at, name).is_some() => Some((at.clone(), path)),
            name => {
                let import = self.import(at, name)?;
                // `use a::b` in a module that imports `a` from another crate.
                let leads = import.path.first().is_some_and(|start| start != name);
                let to = leads.then(|| self.follow(at, &import.path, depth + 1))??;
                Some((to, rest))
            }
        }
    }

    /// Returns the module that defines a name which `here` re-exports.
    fn exported(&self, here: &Path, name: &str, more: &[String], depth: usize) -> Option<Path> {
        if let Some(import) = self.import(here, name) {
            let path: Path = import.path.iter().chain(more).cloned().collect();
            return self.follow(here, &path, depth + 1);
        }
        let module = self.list.get(here)?;
        if module.defined.contains(name) {
            return None;
        }
        module.imports.iter().filter(|import| import.name == "*").find_map(|glob| {
            let from = self.follow(here, &glob.path, depth + 1)?;
            let known = self.list.get(&from)?.defined.contains(name) || self.import(&from, name).is_some();
            let path = ["self".to_owned(), name.to_owned()];
            known.then(|| self.follow(&from, &path, depth + 1))?
        })
    }

    fn import(&self, at: &Path, name: &str) -> Option<&Import> {
        self.list.get(at)?.imports.iter().find(|import| import.name == name)
    }

    fn child(&self, of: &Path, name: &str) -> Option<Path> {
        let child: Path = of.iter().map(String::as_str).chain([name]).map(str::to_owned).collect();
        self.list.contains_key(&child).then_some(child)
    }
}
