//! The processes that descend from a process.

use std::fs;

/// A process, from `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: i32,
    parent: i32,
    /// The first 15 bytes of the program's name.
    pub(crate) name: String,
}

impl Process {
    /// Reads a line like "PID (NAME) STATE PARENT …". The name may have parentheses and spaces.
    ///
    /// Returns `None` for a zombie, which only waits for its parent.
    fn parse(stat: &str) -> Option<Self> {
        let (id, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?);
        let process = Self { id: id.parse().ok()?, parent: parent.parse().ok()?, name: name.to_owned() };
        Some(process).filter(|_| state != "Z")
    }
}

/// Returns all processes that `/proc` shows.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    // A process can end at any time, and is then missing.
    entries.filter_map(|entry| Process::parse(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

/// Returns the processes below `roots`, without the roots.
pub(crate) fn below(all: &[Process], roots: Vec<i32>) -> Vec<Process> {
    let (mut parents, mut found) = (roots, Vec::new());
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        parents.extend(children.clone().map(|child| child.id));
        found.extend(children.cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_parsed_whatever_its_name() {
        let stat = "17 (a) (b) S 4 17 17 0 -1";
        assert_eq!(Process::parse(stat), Some(Process { id: 17, parent: 4, name: "a) (b".to_owned() }));
        assert_eq!(Process::parse("18 (sh) Z 17 17 17 0"), None);
    }

    #[test]
    fn the_tree_below_a_process_has_all_generations() {
        let process = |id, parent| Process { id, parent, name: String::new() };
        let all = [process(2, 1), process(5, 4), process(4, 2), process(3, 1)];
        let ids: Vec<i32> = below(&all, vec![2]).iter().map(|process| process.id).collect();
        assert_eq!(ids, [4, 5]);
    }
}
