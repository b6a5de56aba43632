//! `cargo xtask demo`: a guest plays and records sound through snd-host, and every frame is compared.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::duplex::{self, Duplex};
use end_to_end::pattern::Pattern;
use end_to_end::playback::Ring;

use crate::command::{cargo, progress, run as run_command};
use crate::{setup, waveform};

/// How long the guest plays and records.
const SECONDS: u8 = 5;

/// A run with one ring format.
struct Run {
    ring: Ring,
    duplex: Duplex,
    picture: PathBuf,
}

/// Sets up, builds, plays and records over both ring formats, and prints what came of it.
pub(crate) fn run() -> Result<()> {
    let image = setup::run()?;
    run_command(&mut cargo(["build", "--release", "--package", "snd-host"]))?;
    let snd_host = program("snd-host", Profile::Release)?;
    let recordings = target_dir()?.join("demo");
    fs::create_dir_all(&recordings)?;

    let runs = [Ring::Split, Ring::Packed]
        .into_iter()
        .map(|ring| play_and_record(ring, &snd_host, &image, &recordings))
        .collect::<Result<Vec<Run>>>()?;
    show(&runs, &snd_host)?;
    if !runs.iter().all(|Run { duplex, .. }| duplex.played.is_exact() && duplex.recorded.is_exact()) {
        bail!("the recordings are not what was played");
    }
    Ok(())
}

fn play_and_record(ring: Ring, snd_host: &Path, image: &GuestImage, recordings: &Path) -> Result<Run> {
    let progress = progress(&format!("a guest boots, and plays and records {SECONDS} s over {ring} rings"));
    let duplex = duplex::run(snd_host, image, SECONDS, ring, recordings);
    progress.finish_and_clear();
    let duplex = duplex.with_context(|| format!("playing over {ring} rings did not work"))?;
    let picture = recordings.join(format!("{ring}.png"));
    waveform::draw(&[&duplex.played_at, &duplex.recorded_at], &picture)?;
    Ok(Run { ring, duplex, picture })
}

/// One screen: what ran, what was compared, where it is.
fn show(runs: &[Run], snd_host: &Path) -> Result<()> {
    let pattern = Pattern::seconds(SECONDS);
    let kernel = runs.first().map_or("", |run| &run.duplex.guest.kernel);
    println!("\nWhat ran");
    println!("  guest     Linux {kernel} with its own virtio_snd driver: aplay and arecord -D hw:0,0");
    println!("  machine   QEMU {} with vhost-user-snd-pci", setup::qemu_version()?);
    println!("  host      {} with GStreamer, from and to WAV files", snd_host.display());
    println!("\nWhat was compared");
    println!(
        "  {SECONDS} s of 48 kHz S16 stereo, {} frames, each of which encodes its own number",
        indicatif::HumanCount(pattern.frames().into())
    );
    for Run { ring, duplex, picture } in runs {
        println!("\n{ring} rings, as the guest negotiated them");
        println!("  played    {}", duplex.played);
        println!("            {}", duplex.played_at.display());
        println!("  recorded  {}", duplex.recorded);
        println!("            {}", duplex.recorded_at.display());
        println!("  picture   of both, what was played above what was recorded");
        println!("            {}", picture.display());
    }
    Ok(())
}
