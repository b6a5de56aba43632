//! PulseAudio in the guest.

use std::error::Error;

use end_to_end::artifacts::PulseAudio;
use end_to_end::guest::Overlay;

use super::{BYTES, play_and_record};

/// The modules of the server.
const MODULES: [&str; 3] = ["module-alsa-sink.so", "module-alsa-source.so", "module-native-protocol-unix.so"];

/// Returns the guest's script, which starts the server, and then plays and records at the same
/// time.
fn script(server: &PulseAudio) -> String {
    let PulseAudio { program, client, control, modules, .. } = server;
    let [program, client, control, modules] =
        [program, client, control, modules].map(|path| path.display().to_string());
    format!(
        "set -e
        export LD_LIBRARY_PATH={libraries}
        export HOME=/tmp XDG_RUNTIME_DIR=/tmp PULSE_RUNTIME_PATH=/tmp PULSE_SERVER=unix:/tmp/native
        form='rate=48000 channels=2 format=s16le'
        {program} -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disable-shm \\
            --log-target=stderr --log-level=warning --dl-search-path={modules} \\
            --load=\"module-alsa-sink device=hw:0,0 sink_name=out $form\" \\
            --load=\"module-alsa-source device=hw:0,0 source_name=in $form\" \\
            --load='module-native-protocol-unix auth-anonymous=1 socket=/tmp/native' & server=$!
        until [ -S /tmp/native ]; do sleep 0.1; done
        form='--raw --rate=48000 --channels=2 --format=s16le'
        {client} --record $form --device=in /recorded & recorder=$!
        (sleep 4; {control} list sinks; {control} list sources) | grep Latency &
        {client} --playback $form --device=out /pattern
        until [ $(stat -c %s /recorded) -ge {BYTES} ]; do sleep 0.1; done
        kill $recorder $server
        head -c {BYTES} /recorded >/dev/vda
        sync",
        libraries = server.libraries().display(),
    )
}

#[test]
#[ignore = "only `cargo xtask test --full` takes the time"]
fn a_guest_with_pulseaudio_plays_and_records_all_frames_in_order() -> Result<(), Box<dyn Error>> {
    let server = PulseAudio::prepared()?;
    let mut overlay = Overlay::script(&script(&server));
    let modules = MODULES.map(|module| server.modules.join(module));
    for path in [&server.program, &server.client, &server.control].into_iter().chain(&modules) {
        overlay = overlay.same_path(path, &server.libraries())?;
    }
    play_and_record(overlay)
}
