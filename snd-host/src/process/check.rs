//! `snd-host check`: whether a guest would hear and be heard.

use std::io::{self, Write};

use super::args::Args;
use super::sandbox::{self, Writable};
use super::serve::ServeError;
use crate::audio::{Finding, HostAudio, Role};

/// Tries the sink and the source in the sandbox, and writes what a guest would get to `out`.
/// Returns whether all works as asked.
///
/// # Errors
///
/// Fails if a description is wrong, if the sandbox cannot be entered, or if `out` cannot be
/// written.
pub fn check(args: &Args, mut out: impl Write) -> Result<bool, ServeError> {
    let audio = HostAudio::new(args.audio())?;
    if !args.no_sandbox {
        sandbox::enter(&Writable { given: &args.writable, socket: None })?;
    }
    let mut works = true;
    for (role, finding) in audio.check() {
        works &= matches!(finding, Finding::Works(_));
        write_finding(&mut out, role, &finding)?;
    }
    if args.source.is_none() {
        writeln!(out, "source: none; the guest records silence, --source names a source")?;
    }
    let (outputs, inputs) = (args.streams.outputs, args.streams.inputs);
    writeln!(
        out,
        "card: {outputs} to play and {inputs} to record; audio is in the sink for at most {} ms",
        args.latency
    )?;
    Ok(works)
}

fn write_finding(out: &mut impl Write, role: Role, finding: &Finding) -> io::Result<()> {
    match finding {
        Finding::Works(element) => writeln!(out, "{role}: works, through {element}"),
        Finding::Fallback(sentence) => writeln!(out, "{role}: opens, but {sentence}"),
        Finding::Fails(sentence) => writeln!(out, "{role}: does not work: {sentence}"),
    }
}
