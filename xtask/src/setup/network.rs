//! Whether the package sources can be reached.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::command::captured;

/// Options with which apt gives up early. By default, apt tries each address for 30 s, several
/// times.
pub(super) const BOUNDED: [&str; 6] =
    ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"];
/// The program of the package apt that downloads a file as apt does, through apt's proxy.
const HELPER: &str = "/usr/lib/apt/apt-helper";
/// The time within which a source has to answer.
const ANSWER_SECONDS: &str = "12";

/// Fails after at most 12 s if no package source answers.
pub(super) fn check(sh: &Shell) -> Result<()> {
    let list = cmd!(sh, "apt-get --option Debug::NoLocking=1 update --print-uris").read()?;
    let sources = sources(&list);
    if sources.is_empty() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let mut helper = cmd!(sh, "timeout {ANSWER_SECONDS} {HELPER} --option Acquire::Retries=0 download-file");
    let files = (0..sources.len()).map(|index| directory.path().join(index.to_string()));
    for (source, file) in sources.iter().zip(files.clone()) {
        helper = helper.arg(source).arg(file);
    }
    // The helper fails if one source does not answer. The project may not need that source.
    let (_, output) = captured("looking for package sources", helper)?;
    if !files.into_iter().any(|file| file.is_file()) {
        eprintln!("{output}");
        bail!("no package source can be reached; check the network and the proxy of apt (output above)");
    }
    Ok(())
}

/// Returns the addresses of the signed indexes, one for each host.
///
/// The lines are like "'http://HOST/debian/dists/trixie/InRelease' FILE 0".
fn sources(list: &str) -> Vec<&str> {
    let mut sources: Vec<&str> = Vec::new();
    for line in list.lines() {
        let address =
            line.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).map(|(address, _)| address);
        let Some(address) = address.filter(|address| address.ends_with("/InRelease")) else {
            continue;
        };
        if !sources.iter().any(|known| host(known) == host(address)) {
            sources.push(address);
        }
    }
    sources
}

/// Returns the host in "http://HOST/…".
fn host(address: &str) -> Option<&str> {
    address.split('/').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_index_of_each_host_is_a_source() {
        let list = "\
'http://deb.debian.org/debian/dists/bookworm/InRelease' deb.debian.org_debian_dists_bookworm_InRelease 0 
'http://deb.debian.org/debian/dists/bookworm-updates/InRelease' deb.debian.org_debian_InRelease 0 
'https://example.org/dists/main/InRelease' example.org_dists_main_InRelease 0 
'http://deb.debian.org/debian/dists/bookworm/main/binary-amd64/Packages.xz' deb.debian.org_Packages 0 
";
        let expected = [
            "http://deb.debian.org/debian/dists/bookworm/InRelease",
            "https://example.org/dists/main/InRelease",
        ];
        assert_eq!(sources(list), expected);
    }
}
