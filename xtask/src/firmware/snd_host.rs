//! snd-host behind QEMU: ring-core drives both ends of the queues.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{Profile, program};
use end_to_end::daemon::Daemon;
use xshell::{Shell, cmd};

use super::report::{COMBINATIONS, Outcome};
use super::{machine, recording};

/// Runs the firmware with snd-host as sound card, and checks the recording.
pub(super) fn check(sh: &Shell, firmware: &Path) -> Result<Vec<Outcome>> {
    cmd!(sh, "cargo build --release --package snd-host").run()?;
    let directory = tempfile::tempdir()?;
    let file = |name| directory.path().join(name);
    let samples = file("samples");
    // Each combination prepares the stream again and appends to the file.
    let sink = format!(
        "audio/x-raw,format=S16LE,rate=48000,channels=2 ! \
         filesink append=true sync=true enable-last-sample=false location={}",
        samples.display()
    );
    let options = ["--sink".as_ref(), OsStr::new(&sink), "--writable".as_ref(), directory.path().as_ref()];
    let mut daemon = Daemon::start(&program("snd-host", Profile::Release)?, &file("socket"), options)?;
    let arguments = [
        "-chardev",
        &format!("socket,id=daemon,path={}", daemon.socket().display()),
        "-device",
        "vhost-user-snd,chardev=daemon",
    ]
    .map(str::to_owned);
    let outcomes = machine::boot("the firmware plays through snd-host", firmware, &arguments)
        .with_context(|| format!("snd-host's log:\n{}", daemon.log().join("\n")))?;
    daemon.wait_until_closed(&samples)?;
    daemon.stop()?;

    let bytes = fs::read(&samples)?;
    let samples: Vec<i16> = bytes.as_chunks().0.iter().copied().map(i16::from_le_bytes).collect();
    recording::judge(&samples, COMBINATIONS).context("snd-host")?;
    Ok(outcomes.into_iter().map(|outcome| outcome.named(DEVICE)).collect())
}

/// The name of the device, which differs from QEMU's sound device.
pub(super) const DEVICE: &str = "snd-host";
