//! The files of PipeWire, a sound server, and of its session manager WirePlumber.
//!
//! They are below Cargo's target directory: unpacked, but not installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::artifacts::{ArtifactError, prepared};

/// The paths of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeWire {
    /// The server.
    pub program: PathBuf,
    /// The program that plays and records raw audio.
    pub client: PathBuf,
    /// The session manager, which connects streams with sound cards.
    pub session_manager: PathBuf,
    /// The program that controls the session manager.
    pub control: PathBuf,
    /// The directory of the shared libraries, below which the plugins are.
    libraries: PathBuf,
    /// The directory of configurations and scripts.
    data: PathBuf,
}

impl PipeWire {
    /// The directory of PipeWire, relative to the target directory.
    pub const DIRECTORY: &str = "pipewire";

    /// The plugins with which the server and the session manager use a sound card, relative to the
    /// directory of the shared libraries. The number in `spa-0.2` is the version of the plugins'
    /// interface, not of the server.
    const PLUGINS: [&str; 4] = [
        "spa-0.2/alsa/libspa-alsa.so",
        "spa-0.2/audioconvert/libspa-audioconvert.so",
        "spa-0.2/audiomixer/libspa-audiomixer.so",
        "spa-0.2/support/libspa-support.so",
    ];
    /// The modules of the server and of its clients.
    const MODULES: [&str; 12] = [
        "access",
        "adapter",
        "client-device",
        "client-node",
        "link-factory",
        "metadata",
        "profiler",
        "protocol-native",
        "rt",
        "session-manager",
        "spa-device-factory",
        "spa-node-factory",
    ];

    /// Returns the paths of PipeWire's files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        let program = |name: &str| directory.join("usr/bin").join(name);
        Self {
            program: program("pipewire"),
            client: program("pw-cat"),
            session_manager: program("wireplumber"),
            control: program("wpctl"),
            libraries: directory.join("usr/lib/x86_64-linux-gnu"),
            data: directory.join("usr/share"),
        }
    }

    /// Returns PipeWire as `cargo xtask setup` prepares it.
    ///
    /// # Errors
    /// Fails if that command has not run.
    pub fn prepared() -> Result<Self, ArtifactError> {
        prepared(Self::DIRECTORY, Self::within, |server| {
            vec![&server.program, &server.client, &server.session_manager, &server.control]
        })
    }

    /// Returns the programs, and the plugins and modules with which they use a sound card.
    pub fn binaries(&self) -> impl Iterator<Item = PathBuf> {
        let programs = [&self.program, &self.client, &self.session_manager, &self.control];
        let modules = Self::MODULES.iter().map(|name| format!("pipewire-0.3/libpipewire-module-{name}.so"));
        let plugins = Self::PLUGINS.into_iter().map(str::to_owned).chain(modules);
        programs.into_iter().cloned().chain(plugins.map(|path| self.libraries.join(path)))
    }

    /// Returns the directory of the session manager's modules.
    #[must_use]
    pub fn session_modules(&self) -> PathBuf {
        self.libraries.join("wireplumber-0.5")
    }

    /// Returns the directories of the configurations and scripts: that of PipeWire, that of
    /// WirePlumber, and that of the descriptions of sound cards.
    #[must_use]
    pub fn data(&self) -> [PathBuf; 3] {
        ["pipewire", "wireplumber", "alsa-card-profile/mixer"].map(|name| self.data.join(name))
    }

    /// Returns the value of `LD_LIBRARY_PATH` with which the programs find their libraries.
    #[must_use]
    pub fn libraries(&self) -> &OsStr {
        self.libraries.as_os_str()
    }

    /// Returns the variables with which the programs find their files.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 9] {
        let [pipewire, wireplumber, cards] = self.data();
        [
            ("LD_LIBRARY_PATH", self.libraries.clone()),
            ("SPA_PLUGIN_DIR", self.libraries.join("spa-0.2")),
            ("PIPEWIRE_MODULE_DIR", self.libraries.join("pipewire-0.3")),
            ("PIPEWIRE_CONFIG_DIR", pipewire),
            ("WIREPLUMBER_MODULE_DIR", self.session_modules()),
            ("WIREPLUMBER_DATA_DIR", wireplumber.clone()),
            ("WIREPLUMBER_CONFIG_DIR", wireplumber),
            ("ACP_PATHS_DIR", cards.join("paths")),
            ("ACP_PROFILES_DIR", cards.join("profile-sets")),
        ]
    }
}
