//! `cargo xtask demo`: a guest plays and records sound through snd-host, and every frame is compared. Then the same
//! with isolation-host between the two, so that snd-host has none of the guest's memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::duplex::{self, Duplex};
use end_to_end::memory;
use end_to_end::pattern::Pattern;
use end_to_end::playback::Ring;

use crate::command::{cargo, progress, run as run_command};
use crate::{setup, waveform};

/// How long the guest plays and records.
const SECONDS: u8 = 5;

/// What the runs have in common.
struct Demo {
    snd_host: PathBuf,
    isolation_host: PathBuf,
    image: GuestImage,
    recordings: PathBuf,
}

/// Sets up, builds, plays and records over both ring formats, and prints what came of it.
pub(crate) fn run() -> Result<()> {
    let image = setup::run()?;
    run_command(&mut cargo([
        "build",
        "--release",
        "--package",
        "snd-host",
        "--package",
        "isolation-host",
        "--bins",
    ]))?;
    let demo = Demo {
        snd_host: program("snd-host", Profile::Release)?,
        isolation_host: program("isolation-host", Profile::Release)?,
        image,
        recordings: target_dir()?.join("demo"),
    };
    fs::create_dir_all(&demo.recordings)?;
    demo.run()
}

impl Demo {
    fn run(&self) -> Result<()> {
        let split = self.play_and_record(Ring::Split, None)?;
        let packed = self.play_and_record(Ring::Packed, None)?;
        let isolated = self.play_and_record(Ring::Split, Some(&self.isolation_host))?;

        self.show_what_ran(&split)?;
        println!("\n1. snd-host serves the guest");
        show("split rings, as the guest negotiated them", &split);
        show("packed rings, as the guest negotiated them", &packed);
        println!("\n2. isolation-host stands between the guest and snd-host");
        show("packed rings in the guest, split rings in snd-host", &isolated);
        if !isolated.memory.iter().eq([memory::ISOLATED]) {
            bail!("snd-host had other memory than that of isolation-host");
        }
        if ![split, packed, isolated].iter().all(|run| run.played.is_exact() && run.recorded.is_exact()) {
            bail!("the recordings are not what was played");
        }
        Ok(())
    }

    fn play_and_record(&self, ring: Ring, isolated_by: Option<&Path>) -> Result<Duplex> {
        let way = if isolated_by.is_some() { ", through isolation-host" } else { "" };
        let doing = format!("playing and recording {SECONDS} s in a guest over {ring} rings{way}");
        let progress = progress(&doing);
        let run = duplex::run(&self.snd_host, isolated_by, &self.image, SECONDS, ring, &self.recordings);
        progress.finish_and_clear();
        let run = run.with_context(|| format!("{doing} did not work"))?;
        waveform::draw(&[&run.played_at, &run.recorded_at], &run.picture)?;
        Ok(run)
    }

    fn show_what_ran(&self, run: &Duplex) -> Result<()> {
        println!("\nWhat ran");
        println!(
            "  guest      Linux {} with its own virtio_snd driver: aplay and arecord -D hw:0,0",
            run.guest.kernel
        );
        println!("  machine    QEMU {} with vhost-user-snd-pci", setup::qemu_version()?);
        println!("  host       {} with GStreamer, from and to WAV files", self.snd_host.display());
        println!("  isolation  {}, in the second part", self.isolation_host.display());
        println!("\nWhat was compared");
        println!(
            "  {SECONDS} s of 48 kHz S16 stereo, {} frames, each of which encodes its own number",
            indicatif::HumanCount(Pattern::seconds(SECONDS).frames().into())
        );
        Ok(())
    }
}

/// What was compared, and where it is.
fn show(rings: &str, run: &Duplex) {
    println!("\n   {rings}");
    println!("     played    {}", run.played);
    println!("               {}", run.played_at.display());
    println!("     recorded  {}", run.recorded);
    println!("               {}", run.recorded_at.display());
    println!("     picture   of both, what was played above what was recorded");
    println!("               {}", run.picture.display());
    let memory: Vec<String> = run.memory.iter().map(|name| format!("{name}, {}", whose(name))).collect();
    println!("     memory    that snd-host had of others: {}", memory.join("; "));
}

/// Whose memory that is.
fn whose(memory: &str) -> &'static str {
    match memory {
        memory::GUEST => "all of the guest's",
        memory::ISOLATED => "none of the guest's",
        _ => "of nobody known",
    }
}
