//! Every program passes every request whole and once, in every case that it supports.

use std::path::Path;
use std::process::Command;

use rivals::Group;
use rivals::contenders::CONTENDERS;

/// Returns what a program prints.
///
/// # Panics
///
/// If the program fails.
fn output_of(program: &str, argument: &str) -> String {
    // All programs are in one directory.
    let directory = Path::new(env!("CARGO_BIN_EXE_empty_pair")).parent().expect("a file has a directory");
    let output = Command::new(directory.join(program)).arg(argument).output().expect("programs are built");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_program_passes_every_request_whole_and_once() {
    for contender in CONTENDERS {
        print!("{}\n{}", contender.name, output_of(contender.program, "check"));
    }
}

#[test]
fn every_case_has_a_program() {
    let supported: String = CONTENDERS.iter().map(|it| output_of(it.program, "cases")).collect();
    for group in Group::ALL {
        for &case in group.cases() {
            let name = format!("{}/{}", group.name(), group.label(case));
            assert!(supported.lines().any(|line| line == name), "{name}");
        }
    }
}
