//! What is said of an error: all of it.

use std::error::Error;
use std::fmt;

/// An error and what caused it, in one line.
#[derive(Debug)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
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
    #[error("nothing works")]
    struct Outer(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("the door is shut")]
    struct Inner(#[source] io::Error);

    #[test]
    fn each_cause_is_said_once() {
        let error = Outer(Inner(io::Error::other("no key")));
        assert_eq!(WithCauses(&error).to_string(), "nothing works: the door is shut: no key");
    }
}
