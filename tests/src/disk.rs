//! A disk in which each sector holds its own number and the number of the pass that wrote the
//! sector.
//!
//! `disk-load` writes the disk in the guest; the host checks the image file afterwards. A sector
//! that is lost, stale, misplaced or torn does not have the content that follows from its number
//! and the pass.

use std::fmt;

/// The number of bytes in a sector.
pub const SECTOR: usize = 512;

/// The content of all sectors that one pass writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The number of the pass. Not 0, so that a sector that was never written is wrong.
    pub pass: u32,
}

/// A sector with the wrong content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongSector {
    /// The number of the sector.
    pub sector: u64,
    /// The numbers of the sector and the pass in the sector's first 16 bytes.
    pub names: (u64, u64),
}

impl fmt::Display for WrongSector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sector, names: (other, pass) } = self;
        write!(f, "sector {sector} has wrong content, which names sector {other} of pass {pass}")
    }
}

impl Content {
    /// Returns word `index` of a sector. Words 0 and 1 name sector and pass.
    fn word(self, sector: u64, index: u64) -> u64 {
        match index {
            0 => sector,
            1 => self.pass.into(),
            _ => {
                let seed = sector << 20 ^ u64::from(self.pass) << 8 ^ index;
                // The odd factor mixes each bit into all higher bits, and the rotation mixes it
                // into lower bits.
                seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
            }
        }
    }

    /// Fills whole sectors. `first` is the number of the first sector.
    pub fn fill(self, first: u64, sectors: &mut [u8]) {
        for (sector, bytes) in (first..).zip(sectors.chunks_exact_mut(SECTOR)) {
            for (index, word) in (0..).zip(bytes.as_chunks_mut::<8>().0) {
                *word = self.word(sector, index).to_le_bytes();
            }
        }
    }

    /// Checks whole sectors. `first` is the number of the first sector.
    ///
    /// # Errors
    /// Returns the first wrong sector.
    pub fn check(self, first: u64, sectors: &[u8]) -> Result<(), WrongSector> {
        for (sector, bytes) in (first..).zip(sectors.chunks_exact(SECTOR)) {
            let words = bytes.as_chunks::<8>().0;
            let right = (0..).zip(words).all(|(index, word)| *word == self.word(sector, index).to_le_bytes());
            if !right {
                let name = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
                return Err(WrongSector { sector, names: (name(0), name(1)) });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_right_only_at_its_number_and_for_its_pass() {
        let mut sectors = [0; 4 * SECTOR];
        let content = Content { pass: 2 };
        content.fill(100, &mut sectors);
        assert_eq!(content.check(100, &sectors), Ok(()));
        assert_eq!(content.check(99, &sectors), Err(WrongSector { sector: 99, names: (100, 2) }));
        assert_eq!(
            Content { pass: 1 }.check(100, &sectors),
            Err(WrongSector { sector: 100, names: (100, 2) })
        );
        sectors[3 * SECTOR + 511] ^= 1;
        assert_eq!(content.check(100, &sectors), Err(WrongSector { sector: 103, names: (103, 2) }));
        assert_eq!(content.check(0, &[0; SECTOR]), Err(WrongSector { sector: 0, names: (0, 0) }));
    }
}
