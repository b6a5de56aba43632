//! `cargo xtask api`: compares the public API of each published library with the library's list.
//!
//! The list is made from the source, not from rustdoc's JSON, because the JSON changes with the
//! compiler. A list from the source is the same with every toolchain, and takes less than a second.
//! But the list lacks what only the compiler knows: the items that macros other than `bitflags!`
//! define, and whether a type is `Send` or `Sync` because its fields are.

mod bitflags;
mod impls;
mod items;
mod listing;
mod members;
mod names;
mod public;
mod source;
mod text;

use std::fs;

use anyhow::{Result, bail};
use clap::Args;
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use self::source::Source;

/// The packages whose API other projects build on.
const LIBRARIES: [&str; 2] = ["ring-core", "vhost-ring"];

/// Whether to compare or to write.
#[derive(Debug, Default, Args)]
pub(crate) struct Api {
    /// Write the lists, after an intended change.
    #[arg(long)]
    accept: bool,
}

impl Api {
    /// Compares the API of each library with its list, or writes the list.
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let mut changed = Vec::new();
        for library in LIBRARIES {
            let list = format!("{library}/api.txt");
            let api = items::of(&Source::read(library)?).to_string();
            if self.accept {
                fs::write(&list, api)?;
            } else if fs::read_to_string(&list).unwrap_or_default() != api {
                show(sh, &list, library, &api)?;
                changed.push(list);
            }
        }
        if !changed.is_empty() {
            bail!(
                "the public API differs from {}, as shown above; if the change is intended, run \
                 `cargo xtask api --accept` and commit the list with the change",
                changed.join(" and ")
            );
        }
        println!("the public API of {} is as listed", LIBRARIES.join(" and "));
        Ok(())
    }
}

/// Prints the difference between a list and the API.
fn show(sh: &Shell, list: &str, library: &str, api: &str) -> Result<()> {
    let now = target_dir()?.join(format!("api-of-{library}.txt"));
    fs::write(&now, api)?;
    // A missing list counts as an empty list.
    let before = if sh.path_exists(list) { list } else { "/dev/null" };
    Ok(cmd!(sh, "git --no-pager diff --no-index --unified=1 {before} {now}").ignore_status().run()?)
}
