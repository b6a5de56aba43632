//! Prints an error together with its causes.

use std::error::Error;
use std::fmt;

/// An error and its chain of sources, displayed in one line.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot start")]
    struct Outer(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("cannot open the socket")]
    struct Inner(#[source] io::Error);

    #[test]
    fn each_cause_is_displayed_once() {
        let error = Outer(Inner(io::Error::other("no such directory")));
        let text = ErrorChain(&error).to_string();
        assert_eq!(text, "cannot start: cannot open the socket: no such directory");
    }
}
