//! `snd-host check`: whether a guest would hear and be heard.

use std::error::Error;
use std::io::{self, Write};

use snd_host::{Args, Writable, enter_sandbox};

use crate::host::{Host, HostConfig};
use crate::probe::Finding;
use crate::short_form::Role;

/// Tries the sink and the source in the sandbox, and writes what a guest would get to `out`.
/// Returns whether all works as asked.
pub(crate) fn check(args: &Args, mut out: impl Write) -> Result<bool, Box<dyn Error>> {
    let host = Host::new(HostConfig::of(args))?;
    if !args.no_sandbox {
        enter_sandbox(&Writable { given: &args.writable })?;
    }
    let mut works = true;
    for (role, finding) in host.check() {
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
