//! A migration to another isolation-host: the guest's memory moves as the dirty log says.
//!
//! The destination gets the memory at the start of the migration, what the guest has written since,
//! and the pages in the log of isolation-host. The pages are copied in two rounds: while the guest
//! runs, and when its queues are stopped. Each round has a new log; QEMU instead clears the bits of
//! one log.
//!
//! Two claims are checked. The memory at the destination equals the memory at the source, so each
//! page that isolation-host wrote was in the log after the last write. And no page is in the log
//! that isolation-host had no reason to write. With split rings, both hold for the guest's parts of
//! the rings, too. What is not noticed is a write to a wrong place of a page that isolation-host
//! has reason to write. With packed rings, the descriptors of both sides share such a page.
//!
//! The order of a write and its mark is tested in `guest_memory`: between two logs, isolation-host
//! waits until no worker writes.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use ring_core::Features;

use crate::ram::{LOG_SIZE, PAGE, RAM, Ram, content, memory_file};
use crate::vmm::Vmm;

/// The pages of rings, by their numbers.
struct Pages {
    /// Pages that isolation-host may write.
    host: BTreeSet<u64>,
    /// Pages that have the used buffers, which isolation-host has to write.
    used: BTreeSet<u64>,
}

impl Pages {
    /// Returns the pages of the rings of this number of queues. Each part of a ring fits in a page.
    fn of_rings(vmm: &Vmm, queues: u32) -> Self {
        let mut pages = Self { host: BTreeSet::new(), used: BTreeSet::new() };
        for index in 0..queues {
            let areas = vmm.setup(index).areas;
            let [descriptor, device] = [areas.descriptor, areas.device].map(|area| area / PAGE);
            let used = if vmm.features.contains(Features::RING_PACKED) { descriptor } else { device };
            pages.host.extend([used, device]);
            pages.used.insert(used);
        }
        pages
    }
}

/// A migration whose guest runs.
pub(crate) struct Migration {
    /// The log that isolation-host writes.
    log: File,
    /// The pages that were in the log in any round.
    logged: BTreeSet<u64>,
}

impl Migration {
    /// Starts the log, and copies the memory.
    pub(crate) fn start(vmm: &mut Vmm) -> Result<Self, Box<dyn Error>> {
        let log = memory_file("log", LOG_SIZE)?;
        vmm.start_log(&log)?;
        vmm.ram.copy_all()?;
        Ok(Self { log, logged: BTreeSet::new() })
    }

    /// Replaces the log while isolation-host writes, and copies the pages in the previous one.
    pub(crate) fn next_round(&mut self, vmm: &mut Vmm) -> Result<(), Box<dyn Error>> {
        let next = memory_file("log", LOG_SIZE)?;
        vmm.set_log(&next)?;
        self.copy_logged(&vmm.ram)?;
        self.log = next;
        Ok(())
    }

    /// Copies the pages in the log.
    fn copy_logged(&mut self, ram: &Ram) -> Result<(), Box<dyn Error>> {
        let pages = read_log(&self.log)?;
        pages.iter().try_for_each(|page| ram.copy_page(*page))?;
        self.logged.extend(pages);
        Ok(())
    }

    /// Moves the memory of a guest whose queues were stopped, and checks the log.
    ///
    /// `written` are the pages that requests let isolation-host write since the log was started.
    /// Returns the number of pages that were in the log.
    pub(crate) fn finish(
        mut self,
        vmm: &Vmm,
        queues: u32,
        mut written: BTreeSet<u64>,
    ) -> Result<usize, Box<dyn Error>> {
        self.copy_logged(&vmm.ram)?;
        let rings = Pages::of_rings(vmm, queues);
        written.extend(&rings.host);
        if let Some(page) = self.logged.difference(&written).next() {
            return Err(format!("page {page:#x} is in the log, and no request has it").into());
        }
        if let Some(page) = rings.used.difference(&self.logged).next() {
            return Err(format!("page {page:#x} has used buffers, and is not in the log").into());
        }
        let (source, moved) = (content(&vmm.ram.file)?, content(&vmm.ram.copy)?);
        let size = usize::try_from(PAGE)?;
        let mut pages = (RAM / PAGE..).zip(source.chunks(size).zip(moved.chunks(size)));
        if let Some((page, _)) = pages.find(|(_, (source, moved))| source != moved) {
            return Err(format!("page {page:#x} has changed, and is not in the log").into());
        }
        replace(&vmm.ram, &moved)?;
        Ok(self.logged.len())
    }
}

/// Replaces the guest's memory, so that the guest continues in what has moved.
fn replace(ram: &Ram, moved: &[u8]) -> Result<(), Box<dyn Error>> {
    ram.file.write_all_at(&vec![0xdd; moved.len()], 0)?;
    Ok(ram.file.write_all_at(moved, 0)?)
}

/// Returns the pages whose bits are set.
fn read_log(log: &File) -> Result<BTreeSet<u64>, Box<dyn Error>> {
    let mut bytes = vec![0; usize::try_from(LOG_SIZE)?];
    log.read_exact_at(&mut bytes, 0)?;
    let bits = (0u64..).zip(&bytes).flat_map(|(at, byte)| (0..8).map(move |bit| (at * 8 + bit, byte >> bit)));
    Ok(bits.filter(|(_, bit)| bit & 1 != 0).map(|(page, _)| page).collect())
}
