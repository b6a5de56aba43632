//! The path of a socket for reports on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::endpoint::Endpoint;

/// The path of a socket for reports, `unix:PATH` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSocket(pub(super) PathBuf);

/// A text that is not the path of a socket for reports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid socket {0:?}; use unix:PATH")]
pub struct ReportSocketError(String);

impl FromStr for ReportSocket {
    type Err = ReportSocketError;

    fn from_str(text: &str) -> Result<Self, ReportSocketError> {
        let path = text.strip_prefix("unix:").filter(|path| !path.is_empty());
        path.map(|path| Self(path.into())).ok_or_else(|| ReportSocketError(text.to_owned()))
    }
}

impl ReportSocket {
    /// Returns where the process listens.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Listen(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_reports_is_given_as_unix_path() {
        assert_eq!("unix:/a".parse(), Ok(ReportSocket("/a".into())));
        for wrong in ["", "unix:", "/a", "tcp:1"] {
            assert!(wrong.parse::<ReportSocket>().is_err(), "{wrong}");
        }
    }
}
