//! The picture of what snd-host can read: of guest memory, and of the isolated area.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use end_to_end::memory::{GUEST, ISOLATED};
use end_to_end::visible::{Mebibyte, Sight, Visible};
use indicatif::HumanCount;
use plotters::prelude::*;

use super::sound::{BAD, GOOD};
use super::times;
use crate::drawing::{Area, Drawn, INK, text};

/// The width and height of the picture in pixels. The lengths below are in pixels, too.
const SIZE: (u32, u32) = (960, 436);
const COLUMN: u32 = 480;
const CELL: i32 = 14;
const LEFT: i32 = 8;
/// The number of cells in a row.
const CELLS: usize = 32;
/// The number of pages in a MiB.
const PAGES: f64 = 256.0;
const READABLE: RGBColor = RGBColor(0x2f, 0x9e, 0xe6);

/// Draws what snd-host could read: with guest memory, and behind isolation-host.
pub(super) fn draw(direct: &Sight, isolated: &Sight, picture: &Path) -> Result<()> {
    let area = SVGBackend::new(picture, SIZE).into_drawing_area();
    let (left, right) = area.split_horizontally(COLUMN);
    let failed = |error: Box<dyn std::error::Error>| anyhow!("cannot draw {}: {error}", picture.display());
    draw_one("snd-host serves the guest", direct, &left)?.map_err(failed)?;
    draw_one("snd-host behind isolation-host", isolated, &right)?.map_err(failed)?;
    legend(&area).map_err(failed)?;
    area.present().with_context(|| format!("cannot draw {}", picture.display()))
}

/// Returns the memory file of a name, if a process has it.
fn named<'v>(all: &'v [Visible], name: &str) -> Option<&'v Visible> {
    all.iter().find(|memory| memory.name == name)
}

fn draw_one(title: &str, sight: &Sight, area: &Area<'_>) -> Result<Drawn> {
    let guest = named(&sight.qemu, GUEST).context("QEMU has no guest memory")?;
    let readable = named(&sight.device, GUEST).is_some();
    let isolated = named(&sight.device, ISOLATED);
    Ok(draw_column(title, guest, readable, isolated, area))
}

fn draw_column(
    title: &str,
    guest: &Visible,
    readable: bool,
    isolated: Option<&Visible>,
    area: &Area<'_>,
) -> Drawn {
    area.draw_text(title, &text(22), (LEFT, 6))?;
    let size = guest.mebibytes.len();
    let (state, verdict, colour) = if readable {
        let times = times(guest.secrets());
        ("snd-host can read all of it", format!("the guest's secret: {times}"), BAD)
    } else {
        ("snd-host can read nothing of it", "the guest's secret: out of reach".to_owned(), GOOD)
    };
    area.draw_text(&verdict, &text(19).color(&colour), (LEFT, 36))?;
    area.draw_text(&format!("guest memory, {size} MiB: {state}"), &text(17), (LEFT, 66))?;
    let bottom = grid(guest, readable, 88, area)?;
    let Some(isolated) = isolated else { return Ok(()) };
    let (size, pages) = (isolated.mebibytes.len(), HumanCount(isolated.pages().into()));
    let found = times(isolated.secrets());
    let line = format!("isolated area, {size} MiB: {pages} pages with data, the secret {found}");
    area.draw_text(&line, &text(17), (LEFT, bottom + 16))?;
    grid(isolated, true, bottom + 38, area)?;
    Ok(())
}

/// Draws a cell for each MiB that has data, on a grid. Returns the bottom of the grid.
fn grid(
    memory: &Visible,
    readable: bool,
    top: i32,
    area: &Area<'_>,
) -> Result<i32, Box<dyn std::error::Error>> {
    let (width, rows) = (i32::try_from(CELLS)?, i32::try_from(memory.mebibytes.len().div_ceil(CELLS))?);
    let (right, bottom) = (LEFT + width * CELL, top + rows * CELL);
    let lines = (0..=rows).map(|row| [(LEFT, top + row * CELL), (right, top + row * CELL)]);
    let columns = (0..=width).map(|column| [(LEFT + column * CELL, top), (LEFT + column * CELL, bottom)]);
    for line in lines.chain(columns) {
        area.draw(&PathElement::new(line, INK.mix(0.25)))?;
    }
    for (row, cells) in (0..).zip(memory.mebibytes.chunks(CELLS)) {
        for (column, mebibyte) in (0..).zip(cells).filter(|(_, mebibyte)| mebibyte.pages > 0) {
            cell(mebibyte, readable, (LEFT + column * CELL, top + row * CELL), area)?;
        }
    }
    Ok(bottom)
}

/// Draws a MiB with data, the darker the more pages have data.
fn cell(mebibyte: &Mebibyte, readable: bool, (x, y): (i32, i32), area: &Area<'_>) -> Drawn {
    let corners = [(x + 1, y + 1), (x + CELL - 2, y + CELL - 2)];
    let part = f64::from(mebibyte.pages) / PAGES;
    let style = match (mebibyte.secrets > 0, readable) {
        (false, true) => READABLE.mix(0.3 + 0.7 * part).filled(),
        (false, false) => INK.mix(0.3 + 0.7 * part).stroke_width(1),
        (true, true) => BAD.filled(),
        (true, false) => BAD.stroke_width(2),
    };
    Ok(area.draw(&Rectangle::new(corners, style))?)
}

/// Explains the cells in the last line.
fn legend(area: &Area<'_>) -> Drawn {
    let y = i32::try_from(SIZE.1)? - 28;
    let entries: [(i32, &str, ShapeStyle, ShapeStyle); 4] = [
        (0, "1 MiB that snd-host can read", READABLE.filled(), INK.stroke_width(1)),
        (250, "1 MiB out of reach", TRANSPARENT.filled(), INK.stroke_width(1)),
        (420, "has the secret, readable", BAD.filled(), BAD.stroke_width(1)),
        (630, "has the secret, out of reach", TRANSPARENT.filled(), BAD.stroke_width(2)),
    ];
    for (x, what, inside, outline) in entries {
        let corners = [(LEFT + x, y), (LEFT + x + CELL - 2, y + CELL - 2)];
        area.draw(&Rectangle::new(corners, inside))?;
        area.draw(&Rectangle::new(corners, outline))?;
        area.draw_text(what, &text(17), (LEFT + x + CELL + 6, y - 2))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(name: &str, secrets: u16) -> Visible {
        let mebibytes = vec![Mebibyte { pages: 256, secrets }, Mebibyte::default()];
        Visible { name: name.to_owned(), mebibytes }
    }

    #[test]
    fn the_picture_says_where_the_secret_is_in_reach() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let picture = directory.path().join("a.svg");
        let direct = Sight { device: vec![memory(GUEST, 2)], qemu: vec![memory(GUEST, 2)] };
        let isolated = Sight { device: vec![memory(ISOLATED, 0)], qemu: vec![memory(GUEST, 3)] };
        draw(&direct, &isolated, &picture)?;
        let svg = std::fs::read_to_string(&picture)?;
        for words in ["found 2 times", "out of reach", "2 MiB: 256 pages with data, the secret not found"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(draw(&Sight::default(), &isolated, &picture).is_err());
        Ok(())
    }
}
