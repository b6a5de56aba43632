//! The date of the sources. It is the only date in a package, so that equal sources make equal
//! packages.

use std::env;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

/// The variable by which build tools agree on a date, in seconds since 1970.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// A date in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SourceDate(u32);

impl SourceDate {
    /// Takes the date from the environment, or else from the commit.
    pub(super) fn find(sh: &Shell) -> Result<Self> {
        if let Ok(given) = env::var(VARIABLE) {
            return Self::parse(&given);
        }
        match cmd!(sh, "git log -1 --format=%ct").quiet().ignore_stderr().read() {
            Ok(committed) => Self::parse(&committed),
            Err(_) => bail!("the date of the sources is unknown; set {VARIABLE} to seconds since 1970"),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let seconds = text.trim().parse();
        Ok(Self(
            seconds
                .with_context(|| format!("`{text}` is not a date; set {VARIABLE} to seconds since 1970"))?,
        ))
    }

    /// Returns the value of [`VARIABLE`].
    pub(super) fn seconds(&self) -> String {
        self.0.to_string()
    }

    /// Returns the date as a Debian changelog has it, such as `Mon, 30 Nov 2026 11:19:05 +0000`.
    pub(super) fn in_changelog(&self, sh: &Shell) -> Result<String> {
        let date = format!("@{}", self.0);
        Ok(cmd!(sh, "env LC_ALL=C date --utc --rfc-email --date={date}").quiet().read()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_in_a_changelog() -> Result<()> {
        let date = SourceDate::parse("1796037545\n")?;
        assert_eq!(date.in_changelog(&Shell::new()?)?, "Mon, 30 Nov 2026 11:19:05 +0000");
        assert!(SourceDate::parse("today").is_err());
        Ok(())
    }
}
