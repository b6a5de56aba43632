//! The commands that repeat by hand what a test does.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::command_line::CommandLine;
use crate::forwarding::{forwarder, vmm_socket};
use crate::playback::{FORWARDED, Session};

impl Session<'_> {
    /// Returns the commands that do the same by hand, each in a terminal of its own.
    ///
    /// The sockets are in `directory`. `initramfs` contains the overlay.
    #[must_use]
    pub fn by_hand(&self, directory: &Path, initramfs: &Path) -> Vec<CommandLine> {
        let socket = directory.join("snd.sock");
        let mut arguments: Vec<OsString> = vec!["--socket".into(), socket.clone().into()];
        arguments.extend(self.daemon_options().into_iter().map(OsStr::to_owned));
        let mut commands = vec![CommandLine { program: self.program.into(), arguments }];
        commands.extend(self.isolated_by.map(|program| forwarder(program, directory, &socket, &FORWARDED)));
        let socket = if self.isolated_by.is_some() { vmm_socket(directory) } else { socket };
        commands.push(self.device(&socket).command_line(self.image, initramfs));
        commands
    }
}
