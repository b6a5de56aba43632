//! The licences, sources and known vulnerabilities of the dependencies, by `deny.toml`.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::command::captured;

/// The checks that need no network, apart from the registry's own index.
const LOCAL: [&str; 3] = ["bans", "licenses", "sources"];

/// Checks all dependencies of the workspace.
pub(super) fn check(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo deny --locked check --hide-inclusion-graph {LOCAL...}").run()?;
    // The database of advisories is a git repository, which not every network can reach.
    let (fetched, output) = captured("fetching the database of advisories", cmd!(sh, "cargo deny fetch db"))?;
    if fetched {
        return Ok(cmd!(sh, "cargo deny --frozen check advisories").run()?);
    }
    eprintln!("{output}");
    println!("The database of advisories cannot be fetched; advisories were not checked");
    Ok(())
}
