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
        let is_part = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        name.matches('_').count() > 1 && name.bytes().all(is_part)
    };
    quoted.filter(is_test).collect()
}

/// Returns the sentences of the numbered points, each in one line. Checks the numbers.
fn sentences(model: &str) -> Vec<String> {
    let (_, points) = model.split_once("\n1. ").expect("there is a list");
    let (points, _) = points.split_once("\n\n").expect("a paragraph follows the list");
    let (mut sentences, mut number) = (vec![String::new()], 1);
    for word in points.split_whitespace() {
        if word == format!("{}.", number + 1) {
            number += 1;
            continue;
        }
        let sentence = sentences.last_mut().expect("there is a first sentence");
        sentence.push_str(word);
        sentence.push(' ');
        if word.ends_with('.') {
            sentences.push(String::new());
        }
    }
    assert_eq!((number, sentences.pop().as_deref()), (POINTS, Some("")));
    sentences
}

/// The number of points of the threat model.
const POINTS: usize = 13;

#[test]
fn each_sentence_of_the_threat_model_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, model) = readme.split_once("## Threat model\n").unwrap();
    let (model, _) = model.split_once("\n## How it is built").unwrap();
    let places = ["src", "tests", "../tests/tests", "../ring-core/tests"];
    let sources: String = places.map(|place| sources(&root.join(place))).concat();
    // The paragraphs around the list name tests, too.
    for name in tests(model) {
        assert!(sources.contains(&format!("fn {name}(")), "{name} does not exist");
    }
    let sentences = sentences(model);
    for sentence in &sentences {
        assert!(!tests(sentence).is_empty(), "no test: {sentence}");
    }
    println!("{} sentences", sentences.len());
}
