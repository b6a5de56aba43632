//! A migration to another isolation-host: the guest's memory moves as the dirty log says.
//!
//! The destination gets the memory at the start of the migration, what the guest has written since,
//! and the pages in the log of isolation-host. The log is right if the memory at the destination is
//! the memory at the source, and no page is in the log that isolation-host had no reason to write.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use ring_core::Features;

use crate::ram::{LOG_SIZE, PAGE, RAM, Ram, content};
use crate::vmm::Vmm;

/// The pages that the two sides of the queues write, by their numbers.
struct Pages {
    /// Pages of rings that the guest writes.
    guest: BTreeSet<u64>,
    /// Pages of rings that isolation-host may write.
    host: BTreeSet<u64>,
    /// Pages that have the used buffers, which isolation-host has to write.
    used: BTreeSet<u64>,
}

impl Pages {
    /// Returns the pages of the rings of this number of queues. Each part of a ring fits in a page.
    fn of_rings(vmm: &Vmm, queues: u32) -> Self {
        let mut pages = Self { guest: BTreeSet::new(), host: BTreeSet::new(), used: BTreeSet::new() };
        for index in 0..queues {
            let areas = vmm.setup(index).areas;
            let [descriptor, driver, device] =
                [areas.descriptor, areas.driver, areas.device].map(|area| area / PAGE);
            let used = if vmm.features.contains(Features::RING_PACKED) { descriptor } else { device };
            pages.guest.extend([descriptor, driver]);
            pages.host.extend([used, device]);
            pages.used.insert(used);
        }
        pages
    }
}

/// Moves the memory of a guest whose queues were stopped, and checks the log.
///
/// `written` are the pages that requests let isolation-host write since the log was started.
/// Returns the number of pages in the log.
pub(crate) fn move_memory(
    vmm: &mut Vmm,
    log: &File,
    queues: u32,
    mut written: BTreeSet<u64>,
) -> Result<usize, Box<dyn Error>> {
    let rings = Pages::of_rings(vmm, queues);
    let logged = read_log(log)?;
    written.extend(&rings.host);
    if let Some(page) = logged.difference(&written).next() {
        return Err(format!("page {page:#x} is in the log, and no request has it").into());
    }
    if let Some(page) = rings.used.difference(&logged).next() {
        return Err(format!("page {page:#x} has used buffers, and is not in the log").into());
    }
    let source = content(&vmm.ram.file)?;
    let mut moved = vmm.ram.end_copy()?;
    for page in logged.union(&rings.guest) {
        let range = range(*page)?;
        moved[range.clone()].copy_from_slice(&source[range]);
    }
    let mut pages = (RAM / PAGE..).zip(source.chunks(size(PAGE)?).zip(moved.chunks(size(PAGE)?)));
    if let Some((page, _)) = pages.find(|(_, (source, moved))| source != moved) {
        return Err(format!("page {page:#x} has changed, and is not in the log").into());
    }
    replace(&vmm.ram, &moved)?;
    Ok(logged.len())
}

/// Replaces the guest's memory, so that the guest continues in what has moved.
fn replace(ram: &Ram, moved: &[u8]) -> Result<(), Box<dyn Error>> {
    ram.file.write_all_at(&vec![0xdd; moved.len()], 0)?;
    Ok(ram.file.write_all_at(moved, 0)?)
}

/// Returns the pages whose bits are set.
fn read_log(log: &File) -> Result<BTreeSet<u64>, Box<dyn Error>> {
    let mut bytes = vec![0; size(LOG_SIZE)?];
    log.read_exact_at(&mut bytes, 0)?;
    let bits = (0u64..).zip(&bytes).flat_map(|(at, byte)| (0..8).map(move |bit| (at * 8 + bit, byte >> bit)));
    Ok(bits.filter(|(_, bit)| bit & 1 != 0).map(|(page, _)| page).collect())
}

/// Returns where a page is in the content of the memory.
fn range(page: u64) -> Result<std::ops::Range<usize>, Box<dyn Error>> {
    let start = (page * PAGE).checked_sub(RAM).ok_or("a page before the memory is in the log")?;
    Ok(size(start)?..size(start + PAGE)?)
}

fn size(number: u64) -> Result<usize, Box<dyn Error>> {
    Ok(usize::try_from(number)?)
}
