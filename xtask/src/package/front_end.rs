//! The smallest front-end: a process that asks a vhost-user device for its features.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The request, and the flags of a request and of a reply: version 1, and bit 2 of a reply.
const GET_FEATURES: u32 = 1;
const REQUEST: u32 = 0b001;
const REPLY: u32 = 0b101;
/// The size of a message's header: request, flags, size of the payload.
const HEADER: usize = 12;
/// The feature that each device of the standard has.
const VERSION_1: u64 = 1 << 32;
/// The time within which a device has to answer. GStreamer's first start lists all its plugins.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Connects to a device, asks for its features, and returns the features.
pub(super) fn features(socket: &Path) -> Result<u64> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&[GET_FEATURES, REQUEST, 0].map(u32::to_le_bytes).concat())?;
    let mut reply = [0; HEADER + 8];
    stream.read_exact(&mut reply).with_context(|| format!("{} does not answer", socket.display()))?;
    let (header, payload) = reply.split_at(HEADER);
    ensure!(header == [GET_FEATURES, REPLY, 8].map(u32::to_le_bytes).concat(), "the reply is {header:?}");
    let features = u64::from_le_bytes(payload.try_into()?);
    ensure!(features & VERSION_1 != 0, "the features {features:#x} lack VIRTIO_F_VERSION_1");
    Ok(features)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Asks a device that answers with these features.
    fn asked(features: u64) -> Result<u64> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let device = thread::spawn(move || -> Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut [0; HEADER])?;
            stream.write_all(&[GET_FEATURES, REPLY, 8].map(u32::to_le_bytes).concat())?;
            Ok(stream.write_all(&features.to_le_bytes())?)
        });
        let answer = super::features(&path);
        assert!(device.join().is_ok_and(|outcome| outcome.is_ok()));
        answer
    }

    #[test]
    fn a_device_without_version_1_is_no_answer() {
        assert!(asked(VERSION_1 | 1).is_ok_and(|features| features == VERSION_1 | 1));
        assert!(asked(1).is_err());
    }
}
