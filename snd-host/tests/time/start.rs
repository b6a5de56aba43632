//! How soon it listens.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::good_once;
use crate::support::{Daemon, PROGRAM};

#[test]
fn it_listens_within_twenty_milliseconds_of_its_start() {
    // The first start makes the list of GStreamer's plugins, if there is none or another one.
    let start = || {
        let start = Instant::now();
        let _daemon = Daemon::start("fakesink");
        start.elapsed()
    };
    good_once(start, |time| *time < Duration::from_millis(20));
}

#[test]
fn the_list_of_plugins_is_made_before_anything_listens() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("registry.bin");
    let mut command = Command::new(PROGRAM);
    command.env("GST_REGISTRY", &list);
    let _daemon = Daemon::launch(command, &["--sink", "fakesink"], |command, directory| {
        command.arg("--socket").arg(directory.join("socket"));
    });
    assert!(list.exists());
}
