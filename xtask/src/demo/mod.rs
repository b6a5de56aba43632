//! `cargo xtask demo`: a guest plays and records sound through snd-host, and every frame is
//! compared. The last run puts isolation-host between guest and snd-host, which then has no guest
//! memory.

mod listen;
mod memory;
mod page;
mod sound;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::duplex::{self, Duplex};
use end_to_end::memory::{GUEST, ISOLATED};
use end_to_end::playback::Ring;
use end_to_end::random::mix;
use indicatif::HumanCount;
use xshell::{Shell, cmd};

use self::sound::Names;
use crate::command::progress;
use crate::setup;

/// How long the guest plays and records, in seconds.
const SECONDS: u8 = 5;

/// The words of the pictures.
const PLAYED: Names = Names {
    title: "The guest plays, the host receives",
    sent: "sent by the guest",
    received: "received by the host",
};
const RECORDED: Names = Names {
    title: "The host sends, the guest records",
    sent: "sent by the host",
    received: "recorded by the guest",
};

/// What to do with the sound.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Play through the sound server of this machine, to listen. Nothing is compared.
    #[arg(long)]
    listen: bool,
}

/// What all runs share.
struct Demo<'s> {
    sh: &'s Shell,
    snd_host: PathBuf,
    isolation_host: PathBuf,
    image: GuestImage,
    directory: PathBuf,
    /// What a file in the guest contains.
    secret: String,
}

/// A run and its words.
struct Shown {
    title: &'static str,
    what: &'static str,
    run: Duplex,
    pictures: [PathBuf; 2],
}

/// Sets up and builds. Then plays and records over both ring formats and writes a page of the
/// results, or plays through the sound server.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let image = setup::for_demo(sh)?;
    cmd!(sh, "cargo build --release --package snd-host --package isolation-host --bins").run()?;
    let demo = Demo {
        sh,
        snd_host: program("snd-host", Profile::Release)?,
        isolation_host: program("isolation-host", Profile::Release)?,
        image,
        directory: target_dir()?.join("demo"),
        secret: secret(),
    };
    fs::create_dir_all(&demo.directory)?;
    if options.listen { demo.listen() } else { demo.run() }
}

/// Returns words that are in no memory by chance: the number of this process makes them differ from
/// those of an earlier run.
fn secret() -> String {
    format!("a secret of the guest, {:016x}", mix(u64::from(std::process::id())))
}

impl Demo<'_> {
    fn run(&self) -> Result<()> {
        let shown = [
            self.play_and_record(
                "Split rings",
                "snd-host serves the guest. Both use split rings.",
                Ring::Split,
                None,
            )?,
            self.play_and_record(
                "Packed rings",
                "snd-host serves the guest. Both use packed rings.",
                Ring::Packed,
                None,
            )?,
            self.play_and_record(
                "Behind isolation-host",
                "isolation-host is between guest and snd-host. The guest has packed rings, snd-host has split ones.",
                Ring::Split,
                Some(&self.isolation_host),
            )?,
        ];
        let [split, _, isolated] = &shown;
        let exact = shown.iter().all(|it| it.run.is_exact());
        let picture = self.directory.join("memory.svg");
        memory::draw(&split.run.visible, &isolated.run.visible, &picture)?;
        let page = self.write_page(&shown, &picture, exact)?;

        self.show_what_ran(&split.run)?;
        shown.iter().for_each(Shown::print);
        println!("\nThe pictures, the sound and the commands are in");
        println!("  {}", page.display());
        isolated.check_isolation()?;
        if !exact {
            bail!("a recording differs from what was sent; the counts are above");
        }
        Ok(())
    }

    fn play_and_record(
        &self,
        title: &'static str,
        what: &'static str,
        ring: Ring,
        isolated_by: Option<&Path>,
    ) -> Result<Shown> {
        let route = if isolated_by.is_some() { ", through isolation-host" } else { "" };
        let doing = format!("playing and recording {SECONDS} s in a guest over {ring} rings{route}");
        let progress = progress(&doing);
        let run = duplex::Run {
            program: &self.snd_host,
            isolated_by,
            image: &self.image,
            seconds: SECONDS,
            ring,
            directory: &self.directory,
            secret: self.secret.as_bytes(),
        };
        let name = run.name();
        let run = run.play();
        progress.finish_and_clear();
        let run = run.with_context(|| format!("{doing} failed"))?;
        let pictures = ["played", "recorded"].map(|way| self.directory.join(format!("{name}-{way}.svg")));
        sound::draw(PLAYED, &run.played, &pictures[0])?;
        sound::draw(RECORDED, &run.recorded, &pictures[1])?;
        Ok(Shown { title, what, run, pictures })
    }

    /// Writes the page of all runs, and returns its path.
    fn write_page(&self, shown: &[Shown], memory_picture: &Path, exact: bool) -> Result<PathBuf> {
        let runs = shown.iter().map(|Shown { title, what, run, pictures: [played, recorded] }| {
            page::Run::new(title, what, run, [played, recorded])
        });
        let runs = runs.collect::<Result<Vec<_>>>()?;
        let kernel = shown.first().map_or("", |it| it.run.guest.kernel.as_str());
        let versions = (kernel, setup::qemu_version(self.sh)?, SECONDS);
        let page = page::render(&runs, memory_picture, (versions.0, &versions.1, versions.2), exact)?;
        let path = self.directory.join("index.html");
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn show_what_ran(&self, run: &Duplex) -> Result<()> {
        println!("\nWhat ran");
        println!(
            "  guest      Linux {} with its own virtio_snd driver: aplay and arecord -D hw:0,0",
            run.guest.kernel
        );
        println!("  machine    QEMU {} with vhost-user-snd-pci", setup::qemu_version(self.sh)?);
        println!("  host       {} with GStreamer, from and to WAV files", self.snd_host.display());
        println!("  isolation  {}, in the last run", self.isolation_host.display());
        println!("\nWhat was compared");
        let frames = HumanCount(run.played.report.expected.into());
        println!("  {SECONDS} s of 48 kHz S16 stereo, {frames} frames, every sample of each");
        Ok(())
    }
}

impl Shown {
    /// Fails if snd-host could read memory of the guest.
    fn check_isolation(&self) -> Result<()> {
        if !self.run.memory.iter().eq([ISOLATED]) {
            bail!("snd-host had memory other than the area of isolation-host");
        }
        if self.run.visible.device.iter().any(|memory| memory.secrets() > 0) {
            bail!("snd-host could read the guest's secret through isolation-host");
        }
        Ok(())
    }

    /// Prints what was compared.
    fn print(&self) {
        let Self { title, what, run, .. } = self;
        println!("\n{title}: {what}");
        println!("  played    {}", run.played.report);
        println!("  recorded  {}", run.recorded.report);
        let memory = run.memory.iter().map(|name| format!("{name}, {}", whose(name)));
        println!("  memory    of other processes in snd-host: {}", memory.collect::<Vec<_>>().join("; "));
        let secrets: u32 = run.visible.device.iter().map(|memory| memory.secrets()).sum();
        println!("  secret    of the guest in memory that snd-host can read: {}", times(secrets));
    }
}

/// Returns how often something was found.
fn times(count: u32) -> String {
    match count {
        0 => "not found".to_owned(),
        1 => "found once".to_owned(),
        count => format!("found {count} times"),
    }
}

/// Names the owner of a memory file.
fn whose(memory: &str) -> &'static str {
    match memory {
        GUEST => "all guest memory",
        ISOLATED => "no guest memory",
        _ => "unknown",
    }
}
