//! A program and its arguments.

use std::ffi::OsString;

/// A program and its arguments, to start the program or to show how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: OsString,
    /// The arguments.
    pub arguments: Vec<OsString>,
}
