//! The Debian changelog of a package. It names the version; CHANGELOG.md has the changes.

use super::definition::Definition;

/// The revision that cargo-deb adds to the version.
const REVISION: &str = "1";

/// Returns the text of the changelog. `date` is in the format of RFC 5322.
pub(super) fn text(Definition { name, version, maintainer, .. }: &Definition, date: &str) -> String {
    format!(
        "{name} ({version}-{REVISION}) unstable; urgency=medium\n\n  * Version {version}. The changes are in \
         changelog.gz.\n\n -- {maintainer}  {date}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_form_of_a_debian_changelog() {
        let [name, version, maintainer] = ["host", "1.2.3", "Name <name@host>"].map(str::to_owned);
        let definition = Definition { name, version, maintainer, programs: Vec::new() };
        let expected = "host (1.2.3-1) unstable; urgency=medium\n\n  * Version 1.2.3. The changes are in \
                        changelog.gz.\n\n -- Name <name@host>  Mon, 30 Nov 2026 11:19:05 +0000\n";
        assert_eq!(text(&definition, "Mon, 30 Nov 2026 11:19:05 +0000"), expected);
    }
}
