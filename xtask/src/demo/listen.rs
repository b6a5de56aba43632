//! `cargo xtask demo --listen`: the guest plays through the sound server of this machine.

use anyhow::{Context as _, Result, bail};
use end_to_end::guest::Overlay;
use end_to_end::playback::{Ring, Session};
use end_to_end::tune::Tune;
use xshell::cmd;

use super::Demo;
use crate::command::{captured, progress};

/// How long the guest plays, in seconds: the tune once, and its beginning.
const SECONDS: u8 = 6;
/// The sink that GStreamer selects for the sound server or card of this machine.
const SINK: [&str; 2] = ["--sink", "auto"];

impl Demo<'_> {
    /// Plays the tune in a guest through the sound server.
    pub(super) fn listen(&self) -> Result<()> {
        self.check_sink()?;
        let doing = format!("playing {SECONDS} s in a guest; sound comes about 10 s after the guest's start");
        let progress = progress(&doing);
        let tune = Tune::seconds(SECONDS);
        let overlay = Overlay::script("aplay -q -D hw:0,0 /tune.wav").file("tune.wav", tune.to_wav());
        let session = Session {
            options: &[&SINK[..], &["--name", "cargo xtask demo"]].concat(),
            ..Session::new(&self.snd_host, &self.image, Ring::Split, &self.directory)
        };
        let outcome = session.run(&overlay, tune.duration());
        progress.finish_and_clear();
        let outcome = outcome.with_context(|| format!("{doing} failed"))?;
        println!("\nThe guest has played {SECONDS} s. snd-host's log of the stream:");
        for line in outcome.daemon_log.iter().filter(|line| line.contains("released")) {
            println!("  {line}");
        }
        Ok(())
    }

    /// Fails with snd-host's reason if this machine plays no sound.
    fn check_sink(&self) -> Result<()> {
        let snd_host = &self.snd_host;
        let check = cmd!(self.sh, "{snd_host} check --log off {SINK...}");
        let (works, output) = captured("looking for a sound server", check)?;
        let sink = output.lines().find(|line| line.starts_with("sink: ")).unwrap_or(output.trim());
        if !works {
            bail!(
                "there is nothing to listen through: {sink}; start PipeWire or PulseAudio and run this task \
                 as the user of the sound server (not as root), or run `cargo xtask demo`, which needs none"
            );
        }
        println!("{sink}");
        Ok(())
    }
}
