//! The units of systemd, as `systemd-analyze` judges them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist");
/// The largest exposure of the service, in tenths.
const EXPOSURE: &str = "--threshold=25";

/// Copies the unit templates as units of an instance. A program that exists replaces the programs
/// of the units, because most of these are not installed here.
fn copy_units(to: &Path) -> Vec<PathBuf> {
    let files = [DIST.to_owned(), format!("{DIST}/devices")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut units = Vec::new();
    for file in files.map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let Some((name, kind)) = name.split_once("@.") else { continue };
        let text: String = fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=") {
                Some(command) => {
                    let (_, options) = command.split_once(' ').unwrap();
                    format!("ExecStart=/bin/true {options}\n")
                }
                None => format!("{line}\n"),
            })
            .collect();
        for instance in ["", "example"] {
            let unit = to.join(format!("{name}@{instance}.{kind}"));
            fs::write(&unit, &text).unwrap();
            units.push(unit);
        }
    }
    units.retain(|unit| unit.to_str().unwrap().contains("@example."));
    units
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Output {
    let mut command = Command::new("systemd-analyze");
    let path = format!("{}:", units[0].parent().unwrap().display());
    command.args(arguments).arg("--no-pager").args(units).env("SYSTEMD_UNIT_PATH", path);
    command.output().expect("systemd-analyze is in Debian's package systemd; `cargo xtask setup` installs it")
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let units = copy_units(directory.path());
    assert!(units.len() >= 6, "{units:?}");
    let output = analyze(&["verify", "--man=no", "--recursive-errors=no"], &units);
    assert_eq!((output.status.success(), text(&output).as_str()), (true, ""));
}

#[test]
fn the_service_is_exposed_little() {
    let directory = tempfile::tempdir().unwrap();
    let mut units = copy_units(directory.path());
    units.retain(|unit| unit.ends_with("isolation-host@example.service"));
    let output = analyze(&["security", "--offline=yes", EXPOSURE], &units);
    assert!(output.status.success(), "{}", text(&output));
    println!("{}", text(&output));
}
