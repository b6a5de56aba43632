//! PulseAudio as the host's sound server. It needs no hardware.
//!
//! The server's only sink discards audio in real time. The sink's monitor source records what the
//! sink plays. The server has its own directory and is independent of the machine's own sound
//! server.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::artifacts::{ArtifactError, PulseAudio};
use crate::daemon::{Daemon, DaemonError};

/// A sound server that can be started, killed and started again.
#[derive(Debug, Clone)]
pub struct SoundServer {
    directory: PathBuf,
    files: PulseAudio,
}

impl SoundServer {
    /// Returns a sound server with its socket in `directory`. The server does not run yet.
    ///
    /// # Errors
    /// Fails if `cargo xtask setup` has not prepared PulseAudio.
    pub fn within(directory: &Path) -> Result<Self, ArtifactError> {
        Ok(Self { directory: directory.to_owned(), files: PulseAudio::prepared()? })
    }

    /// Starts the server and waits until clients can connect. Dropping the daemon kills the server.
    ///
    /// # Errors
    /// Fails if the server does not listen in time.
    pub fn start(&self) -> Result<Daemon, DaemonError> {
        let assignment = |variable: &str, value: OsString| {
            let mut assignment = OsString::from(variable);
            assignment.push("=");
            assignment.push(value);
            assignment
        };
        let mut arguments: Vec<OsString> = ["HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"]
            .map(|variable| assignment(variable, self.directory.clone().into()))
            .into();
        arguments.push(assignment("LD_LIBRARY_PATH", self.files.libraries()));
        arguments.push(self.files.program.clone().into());
        arguments.push(assignment("--dl-search-path", self.files.modules.clone().into()));
        arguments.extend(
            [
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                "--log-target=stderr",
                "--log-level=error",
                "--load",
                // Without `norewinds` the sink renders audio two seconds ahead.
                "module-null-sink sink_name=out rate=48000 channels=2 format=s16le norewinds=1",
                "--load",
            ]
            .map(OsString::from),
        );
        arguments.push(format!("module-cli-protocol-unix socket={}", self.commands().display()).into());
        arguments.push("--load".into());
        // The last module: when clients can connect, the socket for commands is there, too.
        arguments.push(
            format!("module-native-protocol-unix auth-anonymous=1 socket={}", self.socket().display()).into(),
        );
        Daemon::start_with(Path::new("env"), &self.socket(), arguments)
    }

    /// Returns the description of a GStreamer sink that plays to the server.
    #[must_use]
    pub fn sink(&self) -> String {
        format!("pulsesink server={} {BUFFER}", self.address())
    }

    /// Returns the description of a GStreamer source that records what the server plays.
    #[must_use]
    pub fn monitor(&self) -> String {
        format!("pulsesrc server={} device=out.monitor {BUFFER}", self.address())
    }

    /// Returns the value of `PULSE_SERVER` with which clients find the server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Returns the server's description of the streams that play to the server, as a mixer would
    /// show them.
    ///
    /// # Errors
    /// Fails if the server does not run.
    pub fn streams(&self) -> io::Result<String> {
        let mut server = UnixStream::connect(self.commands())?;
        server.write_all(b"list-sink-inputs\n")?;
        server.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Returns the socket that takes commands.
    fn commands(&self) -> PathBuf {
        self.directory.join("sound-server-commands.sock")
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("sound-server.sock")
    }
}

/// The buffers of clients, in microseconds. Their size suffices for a busy machine.
const BUFFER: &str = "buffer-time=200000 latency-time=10000";
