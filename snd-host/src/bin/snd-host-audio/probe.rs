//! Whether a sink or a source works, and what to do if it does not.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::error::AudioError;
use super::gstreamer::trial;
use super::pipeline_config::PipelineConfig;
use super::short_form::Role;

/// What was found out about a sink or a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It works, with this element.
    Works(String),
    /// It works, but with an element that was not asked for. A sentence says so.
    Fallback(String),
    /// It does not work. A sentence says why, and what to do.
    Fails(String),
}

/// Opens the device of a sink or a source, or looks whether its files can be written. Plays and
/// records nothing.
///
/// `writable` are the directories of the sandbox, if there is one.
pub(crate) fn probe(config: &PipelineConfig, role: Role, writable: Option<&[PathBuf]>) -> Finding {
    let opened = match refused_file(config, role, writable) {
        Ok(None) => trial::open(config, role),
        Ok(Some(refused)) => return Finding::Fails(refused),
        Err(error) => Err(error),
    };
    judge(config, role, opened)
}

/// Plays silence to a sink, or records from a source. Files are not written.
pub(crate) fn check(config: &PipelineConfig, role: Role, writable: Option<&[PathBuf]>) -> Finding {
    let tried = match (role, refused_file(config, role, writable), files(config, role)) {
        (_, Ok(Some(refused)), _) => return Finding::Fails(refused),
        (_, Err(error), _) | (_, _, Err(error)) => Err(error),
        (Role::Source, ..) => trial::record(config),
        (Role::Sink, _, Ok(files)) if files.is_empty() => {
            trial::play(config).map(|(element, format)| format!("{element}, which plays {format}"))
        }
        (Role::Sink, ..) => trial::open(config, role),
    };
    judge(config, role, tried)
}

fn judge(config: &PipelineConfig, role: Role, tried: Result<String, AudioError>) -> Finding {
    match tried {
        Err(error) => Finding::Fails(format!("{error}; {}", advice(&config.description, role))),
        Ok(element) => match fallback(&config.description, &element) {
            Some(sentence) => Finding::Fallback(format!("{sentence}; {}", advice(&config.description, role))),
            None => Finding::Works(element),
        },
    }
}

/// Returns a sentence if GStreamer has selected an element that is most likely silent, although
/// `description` does not name it.
fn fallback(description: &str, element: &str) -> Option<String> {
    let element = element.split(',').next().unwrap_or(element);
    if description.contains(element) {
        return None;
    }
    match element {
        "openalsink" | "openalsrc" => {
            Some(format!("no sound server was found, so GStreamer falls back to OpenAL ({element})"))
        }
        "fakesink" | "fakeaudiosink" | "fakesrc" | "audiotestsrc" => {
            Some(format!("no sound device was found, so GStreamer falls back to silence ({element})"))
        }
        _ => None,
    }
}

/// Returns what to do about a sink or a source that does not work.
fn advice(description: &str, role: Role) -> String {
    let known = [
        ("pulse", "start the sound server (PulseAudio or pipewire-pulse), or "),
        ("pipewire", "start PipeWire, or "),
        ("jack", "start the JACK server, or "),
        ("alsa", "check that the device is free and that this user may use it, or "),
        ("file", "check the path, or "),
    ];
    let first =
        known.iter().find(|(element, _)| description.contains(element)).map_or("", |(_, first)| first);
    format!("{first}choose another --{role}; `snd-host devices` lists the {role}s")
}

fn files(config: &PipelineConfig, role: Role) -> Result<Vec<PathBuf>, AudioError> {
    match role {
        Role::Sink => trial::files(&config.description),
        Role::Source => Ok(Vec::new()),
    }
}

/// Returns a message if a file that the sink writes cannot be opened for writing.
fn refused_file(
    config: &PipelineConfig,
    role: Role,
    writable: Option<&[PathBuf]>,
) -> Result<Option<String>, AudioError> {
    let files = files(config, role)?;
    Ok(files.iter().find_map(|path| refusal(path, open_for_writing(path).err()?, writable)))
}

/// Opens a file as a sink would, but neither creates nor changes it.
fn open_for_writing(path: &Path) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    match open(path, flags | OFlags::NONBLOCK, Mode::empty()) {
        Err(Errno::NOENT) => open(parent(path), flags | OFlags::TMPFILE, Mode::RUSR | Mode::WUSR).map(drop),
        other => other.map(drop),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns a sentence about a file that cannot be written. `None` for an error that says nothing
/// about a sink that opens the file: no process reads a FIFO yet, or the file system has no
/// temporary files.
fn refusal(path: &Path, error: Errno, writable: Option<&[PathBuf]>) -> Option<String> {
    if [Errno::NXIO, Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL].contains(&error) {
        return None;
    }
    let (file, directory) = (path.display(), parent(path).display());
    let sandboxed = writable.is_some_and(|writable| !writable.iter().any(|dir| path.starts_with(dir)));
    Some(if sandboxed && error != Errno::NOENT {
        format!("the sandbox of snd-host refuses to write {file}; add --writable {directory}")
    } else {
        format!("cannot write {file}: {}; correct the path or the permissions", io::Error::from(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_is_reported_unless_it_was_asked_for() {
        assert!(fallback("autoaudiosink", "openalsink").unwrap().contains("falls back to OpenAL"));
        assert!(fallback("autoaudiosink", "fakesink, which plays S16LE").unwrap().contains("silence"));
        for (description, element) in
            [("openalsink", "openalsink"), ("fakesink sync=true", "fakesink"), ("autoaudiosink", "pulsesink")]
        {
            assert_eq!(fallback(description, element), None);
        }
    }

    #[test]
    fn a_refusal_names_the_sandbox_only_if_the_sandbox_is_the_cause() {
        let (path, dirs) = (Path::new("/rec/a.wav"), [PathBuf::from("/rec")]);
        let said = |error, writable| refusal(path, error, writable).unwrap_or_default();
        assert!(said(Errno::ACCESS, Some(&[][..])).contains("add --writable /rec"));
        for (error, writable) in
            [(Errno::ACCESS, None), (Errno::ACCESS, Some(&dirs[..])), (Errno::NOENT, None)]
        {
            assert!(said(error, writable).starts_with("cannot write /rec/a.wav: "));
        }
        assert_eq!(refusal(path, Errno::NXIO, None), None);
    }

    #[test]
    fn a_file_is_neither_created_nor_changed() {
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
        std::fs::write(&old, "old").unwrap();
        assert_eq!((open_for_writing(&old), open_for_writing(&new)), (Ok(()), Ok(())));
        assert_eq!(open_for_writing(&directory.path().join("no/file")), Err(Errno::NOENT));
        assert_eq!((std::fs::read_to_string(&old).unwrap(), new.exists()), ("old".to_owned(), false));
    }
}
