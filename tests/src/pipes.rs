//! The pipes from a program to its log.

use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// The ends of the pipes for a program's standard output and standard error.
pub(crate) struct Pipes {
    /// One end for each pipe.
    pub(crate) readers: Vec<PipeReader>,
    pub(crate) output: PipeWriter,
    pub(crate) errors: PipeWriter,
}

impl Pipes {
    /// Returns one pipe for both outputs, so that the log has the lines in the order in which the
    /// program wrote them.
    pub(crate) fn interleaved() -> io::Result<Self> {
        let (reader, output) = io::pipe()?;
        Ok(Self { readers: vec![reader], errors: output.try_clone()?, output })
    }

    /// Returns two pipes, so that no error is in the middle of a line of the standard output.
    pub(crate) fn apart() -> io::Result<Self> {
        let (reader, output) = io::pipe()?;
        let (errors_reader, errors) = io::pipe()?;
        Ok(Self { readers: vec![reader, errors_reader], output, errors })
    }
}

/// Reads lines in threads, so that waits can have deadlines and the program never blocks.
pub(crate) fn lines_of(readers: Vec<PipeReader>) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    for reader in readers {
        let sender = sender.clone();
        thread::spawn(move || send_lines(reader, &sender));
    }
    lines
}

fn send_lines(reader: PipeReader, sender: &Sender<String>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    // The bytes of a serial console are not always UTF-8.
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(text).is_err() {
            break;
        }
        line.clear();
    }
}
