//! `cargo xtask demo`: a guest plays and records sound through snd-host, and every frame is
//! compared. The last run puts isolation-host between guest and snd-host, which then has no guest
//! memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::duplex::{self, Duplex};
use end_to_end::memory;
use end_to_end::pattern::Pattern;
use end_to_end::playback::Ring;

use xshell::{Shell, cmd};

use crate::command::progress;
use crate::{setup, waveform};

/// How long the guest plays and records, in seconds.
const SECONDS: u8 = 5;

/// What all runs share.
struct Demo<'s> {
    sh: &'s Shell,
    snd_host: PathBuf,
    isolation_host: PathBuf,
    image: GuestImage,
    recordings: PathBuf,
}

/// Sets up, builds, plays and records over both ring formats, and prints the results.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    let image = setup::for_demo(sh)?;
    cmd!(sh, "cargo build --release --package snd-host --package isolation-host --bins").run()?;
    let demo = Demo {
        sh,
        snd_host: program("snd-host", Profile::Release)?,
        isolation_host: program("isolation-host", Profile::Release)?,
        image,
        recordings: target_dir()?.join("demo"),
    };
    fs::create_dir_all(&demo.recordings)?;
    demo.run()
}

impl Demo<'_> {
    fn run(&self) -> Result<()> {
        let split = self.play_and_record(Ring::Split, None)?;
        let packed = self.play_and_record(Ring::Packed, None)?;
        let isolated = self.play_and_record(Ring::Split, Some(&self.isolation_host))?;

        self.show_what_ran(&split)?;
        println!("\n1. snd-host serves the guest");
        show("split rings, as the guest negotiated them", &split);
        show("packed rings, as the guest negotiated them", &packed);
        println!("\n2. isolation-host is between the guest and snd-host");
        show("packed rings in the guest, split rings in snd-host", &isolated);
        if !isolated.memory.iter().eq([memory::ISOLATED]) {
            bail!("snd-host had memory other than the area of isolation-host");
        }
        if ![split, packed, isolated].iter().all(|run| run.played.is_exact() && run.recorded.is_exact()) {
            bail!("a recording differs from what was played; the counts are above");
        }
        Ok(())
    }

    fn play_and_record(&self, ring: Ring, isolated_by: Option<&Path>) -> Result<Duplex> {
        let route = if isolated_by.is_some() { ", through isolation-host" } else { "" };
        let doing = format!("playing and recording {SECONDS} s in a guest over {ring} rings{route}");
        let progress = progress(&doing);
        let run = duplex::run(&self.snd_host, isolated_by, &self.image, SECONDS, ring, &self.recordings);
        progress.finish_and_clear();
        let run = run.with_context(|| format!("{doing} failed"))?;
        waveform::draw(&[&run.played_at, &run.recorded_at], &run.picture)?;
        Ok(run)
    }

    fn show_what_ran(&self, run: &Duplex) -> Result<()> {
        println!("\nWhat ran");
        println!(
            "  guest      Linux {} with its own virtio_snd driver: aplay and arecord -D hw:0,0",
            run.guest.kernel
        );
        println!("  machine    QEMU {} with vhost-user-snd-pci", setup::qemu_version(self.sh)?);
        println!("  host       {} with GStreamer, from and to WAV files", self.snd_host.display());
        println!("  isolation  {}, in the second part", self.isolation_host.display());
        println!("\nWhat was compared");
        println!(
            "  {SECONDS} s of 48 kHz S16 stereo, {} frames, each with its own number",
            indicatif::HumanCount(Pattern::seconds(SECONDS).frames().into())
        );
        Ok(())
    }
}

/// Prints what was compared, and the files.
fn show(rings: &str, run: &Duplex) {
    println!("\n   {rings}");
    println!("     played    {}", run.played);
    println!("               {}", run.played_at.display());
    println!("     recorded  {}", run.recorded);
    println!("               {}", run.recorded_at.display());
    println!("     picture   of both, played above recorded");
    println!("               {}", run.picture.display());
    let memory: Vec<String> = run.memory.iter().map(|name| format!("{name}, {}", whose(name))).collect();
    println!("     memory    of other processes in snd-host: {}", memory.join("; "));
}

/// Names the owner of a memory file.
fn whose(memory: &str) -> &'static str {
    match memory {
        memory::GUEST => "all guest memory",
        memory::ISOLATED => "no guest memory",
        _ => "unknown",
    }
}
