//! The tests that the threat model in the README names.

use std::fs;
use std::path::Path;

/// Returns the contents of all Rust files in a directory.
fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let parts = entries.map(|path| match path.extension() {
        None if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    parts.collect()
}

/// Returns the names of tests in a part of the README.
fn tests(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() > 1 && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    };
    quoted.filter(is_test).collect()
}

#[test]
fn each_point_of_the_threat_model_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, model) = readme.split_once("## Threat model\n").unwrap();
    let (model, _) = model.split_once("\n## How it is built").unwrap();
    // The last directory has the end-to-end tests.
    let sources: String = ["src", "tests", "../tests/tests"].map(|part| sources(&root.join(part))).concat();
    for name in tests(model) {
        assert!(sources.contains(&format!("fn {name}(")), "{name} does not exist");
    }
    for number in 1.. {
        let Some((_, point)) = model.split_once(&format!("\n{number}. ")) else {
            assert_eq!(number, 14);
            return;
        };
        let end = point.find(&format!("\n{}. ", number + 1)).unwrap_or(point.len());
        assert!(!tests(&point[..end]).is_empty(), "point {number} names no test");
    }
}
