//! `CONFORMANCE.md` and the tests of this folder agree, and the tests that the README names exist.

use std::collections::BTreeSet;
use std::fs;

const TABLE: &str = include_str!("../../CONFORMANCE.md");
const README: &str = include_str!("../../README.md");

/// A row of the table: one requirement.
struct Row {
    /// The title of the table.
    title: &'static str,
    section: &'static str,
    /// The tests of the requirement, or the reason why there is none.
    proof: &'static str,
}

impl Row {
    fn tests(&self) -> impl Iterator<Item = &'static str> {
        let code = self.proof.split('`').skip(1).step_by(2);
        code.filter(|name| section_of(name).is_some())
    }
}

fn rows() -> Vec<Row> {
    let mut title = "";
    let mut rows = vec![];
    for line in TABLE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading;
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", section, _who, _level, _requirement, proof, ""] = cells[..] else { continue };
        if section.starts_with(|first: char| first.is_ascii_digit()) {
            rows.push(Row { title, section, proof });
        }
    }
    rows
}

/// Returns the section in the name of a conformance test: 2.7.1 of `driver_2_7_1_areas_that_…`.
fn section_of(test: &str) -> Option<String> {
    let (role, rest) = test.split_once('_')?;
    let numbers: Vec<_> = rest.split('_').take_while(|word| word.parse::<u8>().is_ok()).collect();
    (["driver", "device", "both"].contains(&role) && !numbers.is_empty()).then(|| numbers.join("."))
}

/// Returns the names of all tests except the tests of this file.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("table.rs") {
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        let mut lines = source.lines();
        while lines.any(|line| line.trim() == "#[test]") {
            let name = lines.find_map(|line| line.trim().strip_prefix("fn ")).unwrap();
            tests.insert(name.split('(').next().unwrap().to_owned());
        }
    }
    tests
}

#[test]
fn the_conformance_table_names_exactly_the_tests_there_are() {
    let (rows, tests) = (rows(), tests());
    let named: BTreeSet<String> = rows.iter().flat_map(Row::tests).map(str::to_owned).collect();
    assert_eq!(
        named.difference(&tests).collect::<Vec<_>>(),
        [""; 0],
        "the table names tests that do not exist"
    );
    assert_eq!(tests.difference(&named).collect::<Vec<_>>(), [""; 0], "the table lacks tests");
}

#[test]
fn each_test_stands_beside_a_requirement_of_its_section() {
    let rows = rows();
    for test in tests() {
        let section = section_of(&test).expect("a test is named by role and section");
        let found = rows.iter().any(|row| row.section == section && row.tests().any(|name| name == test));
        assert!(found, "{test} is not beside a requirement of {section}");
    }
}

#[test]
fn each_test_that_the_readme_names_is_where_it_says() {
    let mut named = 0;
    for row in README.lines() {
        // "| feature | [what](where): `test` |"
        let link = row.split_once("](").and_then(|(_, link)| link.strip_suffix("` |")?.split_once("): `"));
        let Some((path, test)) = link else { continue };
        let source = fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{test} is not in {path}");
        named += 1;
    }
    assert!(named > 0, "the README names no tests");
}

#[test]
fn each_requirement_has_a_test_or_a_reason_and_none_is_lost() {
    let rows = rows();
    for row in &rows {
        assert!(!row.proof.is_empty(), "{} has neither test nor reason", row.section);
    }
    // Each title ends with the number of requirements of its table.
    for title in rows.iter().map(|row| row.title).collect::<BTreeSet<_>>() {
        let count = rows.iter().filter(|row| row.title == title).count();
        assert!(title.ends_with(&format!(": {count}")), "{title:?} has {count}");
    }
}
