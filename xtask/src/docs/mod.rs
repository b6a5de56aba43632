//! `cargo xtask docs`: the commands of the documents, run as they are written.

pub(crate) mod page;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::guest::{Overlay, write_initramfs};
use end_to_end::tune::Tune;
use xshell::{Shell, cmd};

use self::page::{Block, Page};
use crate::command::captured;
use crate::setup;

/// The directory of the documents.
const DOCUMENTS: &str = "docs";
/// The time in which the commands of a document have to end, in seconds.
const WITHIN: &str = "300";
/// The guest of the documents says what devices it has, and uses them.
const GUEST: &str = "\
[ ! -c /dev/snd/pcmC0D0p ] || { aplay -q -D hw:0,0 /tune.wav && echo 'guest: played a tune'; }
[ ! -b /dev/vda ] || {
    dd if=/tune.wav of=/dev/vda bs=4096 conv=fsync 2>/dev/null && echo 'guest: wrote a disk'
}
";

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The documents whose commands are run. All of them by default.
    documents: Vec<PathBuf>,
}

impl Docs {
    /// Sets up, builds, and runs the commands.
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let image = setup::for_docs(sh)?;
        cmd!(sh, "cargo build --release --package snd-host --package isolation-host --bins").run()?;
        run_all(sh, &image, &self.documents)
    }
}

fn run_all(sh: &Shell, image: &GuestImage, documents: &[PathBuf]) -> Result<()> {
    let guest = guest_options(image)?;
    let snd_host = program("snd-host", Profile::Release)?;
    let programs = snd_host.parent().context("snd-host is in no directory")?;
    let documents = if documents.is_empty() { all_documents()? } else { documents.to_vec() };
    let (mut run, mut not_run) = (0, 0);
    for document in documents {
        let named = || document.display().to_string();
        let text = fs::read_to_string(&document).with_context(named)?;
        let page = Page::parse(&text).map_err(|error| anyhow!("{}:{}: {error}", named(), error.line))?;
        (run, not_run) = (run + page.run.len(), not_run + page.not_run.len());
        if !page.run.is_empty() {
            run_page(sh, &page, programs, &guest).with_context(named)?;
        }
        page.run.iter().for_each(|block| println!("{}:{}: run as written", named(), block.line));
        for Block { line, text } in &page.not_run {
            println!("{}:{line}: not run here: {text}", named());
        }
    }
    println!("documents: {run} blocks of commands run as written, {not_run} not run here");
    Ok(())
}

/// Runs the commands of a document in an empty directory.
fn run_page(sh: &Shell, page: &Page, programs: &Path, guest: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (at, script) = (directory.path(), page.script());
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let shell =
        cmd!(sh, "env --chdir={at} timeout {WITHIN} bash -c {script}").env("PATH", path).env("GUEST", guest);
    let (success, output) = captured("running the commands of a document", shell)?;
    if !success {
        let at = output.lines().rfind(|line| line.starts_with(Page::AT)).unwrap_or_default();
        bail!("{output}\nthe commands failed, or did not end within {WITHIN} s ({at})");
    }
    if let Some(line) = page.missing(&output) {
        bail!("{output}\nthe output has no line, or not at its place, like: {line}");
    }
    Ok(())
}

/// Returns QEMU's options for a guest without devices, which plays a tune and writes to its disk.
fn guest_options(image: &GuestImage) -> Result<String> {
    let directory = target_dir()?.join("docs");
    fs::create_dir_all(&directory)?;
    let initramfs = directory.join("guest.cpio");
    let overlay = Overlay::script(GUEST).file("tune.wav", Tune::seconds(1).to_wav());
    write_initramfs(&image.initramfs, &overlay, File::create(&initramfs)?)?;
    Ok(format!(
        "-nodefaults -no-user-config -no-reboot -display none -serial stdio -cpu max \
         -append console=ttyS0 -kernel {} -initrd {}",
        image.kernel.display(),
        initramfs.display()
    ))
}

fn all_documents() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(DOCUMENTS).context("cannot list the documents")?;
    let mut documents: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    documents.retain(|path| path.extension() == Some(Path::new("md").as_os_str()));
    documents.sort();
    Ok(documents)
}
