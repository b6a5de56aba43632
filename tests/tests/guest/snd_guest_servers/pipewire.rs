//! PipeWire in the guest, with WirePlumber as its session manager.

use std::error::Error;

use end_to_end::guest::Overlay;
use end_to_end::pipewire::PipeWire;

use super::{BYTES, play_and_record};

/// The path and the content of the entry that udevd would write for the sound card. Without this
/// entry, PipeWire ignores the card.
const UDEV: (&str, &str) = ("run/udev/data/+sound:card0", "E:SOUND_INITIALIZED=1\n");

/// The settings of the session manager with which all frames pass unchanged. By default, the
/// session manager lowers the volume, and prefers samples of 32 bits.
const SETTINGS: &str = r#"
    wireplumber.settings = {
        device.routes.default-sink-volume = 1.0
        device.routes.default-source-volume = 1.0
    }
    monitor.alsa.rules = [ {
        matches = [ { node.name = "~alsa_.*" } ]
        actions = { update-props = { audio.format = S16LE, audio.rate = 48000, audio.channels = 2 } }
    } ]
"#;

/// Returns the guest's script, which starts the servers, and then plays and records at the same
/// time.
///
/// The profile of the session manager needs neither D-Bus nor logind. The player prints its delay
/// once a second. When the card is closed, the servers have played all audio.
fn script(server: &PipeWire) -> String {
    let environment = server.environment();
    let exports: String =
        environment.iter().map(|(name, path)| format!("export {name}={}\n", path.display())).collect();
    format!(
        "set -e
        {exports}
        export HOME=/tmp XDG_RUNTIME_DIR=/tmp PIPEWIRE_DEBUG=1 WIREPLUMBER_DEBUG=1
        until [ -e /dev/snd/controlC0 ]; do sleep 0.1; done
        {program} & server=$!
        until [ -S /tmp/pipewire-0 ]; do sleep 0.1; done
        {session_manager} --profile main-embedded & manager=$!
        until [ $({control} status | grep -c 'VirtIO SoundCard Stereo .*vol: 1.00') = 2 ]; do sleep 0.1; done
        form='--raw --rate 48000 --channels 2 --format s16'
        {client} --record $form - >/recorded & recorder=$!
        {client} --playback --verbose $form - </pattern >/log 2>&1 || {{ cat /log; exit 1; }}
        echo \"Latency: $(grep 'stream time' /log | grep -o 'delay:[0-9]*' | sort -u | tr '\\n' ' ')\"
        until [ $(stat -c %s /recorded) -ge {BYTES} ]; do sleep 0.1; done
        kill $recorder
        until grep -q closed /proc/asound/card0/pcm0p/sub0/status; do sleep 0.1; done
        kill $manager $server
        head -c {BYTES} /recorded >/dev/vda
        sync",
        program = server.program.display(),
        session_manager = server.session_manager.display(),
        control = server.control.display(),
        client = server.client.display(),
    )
}

#[test]
#[ignore = "only `cargo xtask test --full` takes the time"]
fn a_guest_with_pipewire_plays_and_records_all_frames_in_order() -> Result<(), Box<dyn Error>> {
    let server = PipeWire::prepared()?;
    let mut overlay = Overlay::script(&script(&server));
    for path in server.binaries() {
        overlay = overlay.same_path(&path, server.libraries())?;
    }
    for module in std::fs::read_dir(server.session_modules())? {
        overlay = overlay.same_path(&module?.path(), server.libraries())?;
    }
    for directory in server.data() {
        overlay = overlay.tree(&directory)?;
    }
    let settings = server.data()[1].join("wireplumber.conf.d/test.conf");
    overlay = overlay.file(settings.to_string_lossy().trim_start_matches('/'), SETTINGS.into());
    let (entry, content) = UDEV;
    play_and_record(overlay.file(entry, content.into()))
}
