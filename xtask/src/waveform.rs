//! Pictures of WAV files.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use hound::WavReader;
use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea as _, PathElement, RGBColor, ShapeStyle};
use plotters::style::WHITE;

/// In pixels, like the next two.
const WIDTH: u32 = 1200;
const CHANNEL_HEIGHT: u32 = 110;
const GAP: i32 = 6;

/// One colour for each file.
const COLOURS: [RGBColor; 2] = [RGBColor(0x1b, 0x6e, 0xc2), RGBColor(0xb0, 0x4a, 0x1c)];
const AXIS: RGBColor = RGBColor(0xd0, 0xd4, 0xd8);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The samples of one channel of a file, and its colour.
struct Channel {
    samples: Vec<i16>,
    colour: RGBColor,
}

/// Draws the channels of all files below each other, as a PNG file.
pub(crate) fn draw(files: &[&Path], picture: &Path) -> Result<()> {
    let mut channels = Vec::new();
    for (file, colour) in files.iter().zip(COLOURS.into_iter().cycle()) {
        let unreadable = || format!("cannot read {}", file.display());
        let wav = WavReader::open(file).with_context(unreadable)?;
        let count = usize::from(wav.spec().channels);
        let samples: Vec<i16> = wav.into_samples().collect::<Result<_, _>>().with_context(unreadable)?;
        channels.extend((0..count).map(|channel| {
            let samples = samples.iter().skip(channel).step_by(count).copied().collect();
            Channel { samples, colour }
        }));
    }
    let height = CHANNEL_HEIGHT * u32::try_from(channels.len())?;
    let area = BitMapBackend::new(picture, (WIDTH, height)).into_drawing_area();
    draw_all(&area, &channels).map_err(|error| anyhow!("cannot draw {}: {error}", picture.display()))
}

fn draw_all(area: &Area<'_>, channels: &[Channel]) -> Drawn {
    area.fill(&WHITE)?;
    for (row, channel) in area.split_evenly((channels.len(), 1)).iter().zip(channels) {
        draw_channel(row, channel)?;
    }
    area.present()?;
    Ok(())
}

/// Each column of pixels shows the range of the samples in that column.
fn draw_channel(area: &Area<'_>, channel: &Channel) -> Drawn {
    let (width, height) = area.dim_in_pixel();
    let room = i32::try_from(height)? - 2 * GAP;
    let y = |sample: i16| GAP + room / 2 - i32::from(sample) * room / i32::from(u16::MAX);
    let middle = y(0);
    area.draw(&PathElement::new([(0, middle), (i32::try_from(width)?, middle)], AXIS))?;
    let columns = channel.samples.chunks(channel.samples.len().div_ceil(width as usize).max(1));
    for (x, column) in (0..).zip(columns) {
        if let (Some(low), Some(high)) = (column.iter().min(), column.iter().max()) {
            // At least one pixel.
            let line = [(x, y(*high)), (x, y(*low) + 1)];
            area.draw(&PathElement::new(line, ShapeStyle::from(&channel.colour).stroke_width(1)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_png_as_high_as_there_are_channels() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (wav, picture) = (directory.path().join("a.wav"), directory.path().join("a.png"));
        std::fs::write(&wav, end_to_end::pattern::Pattern::seconds(1).to_wav())?;
        draw(&[&wav, &wav], &picture)?;
        let png = std::fs::read(&picture)?;
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        // The first chunk starts with the width and the height.
        assert_eq!(png[16..24], [WIDTH.to_be_bytes(), (4 * CHANNEL_HEIGHT).to_be_bytes()].concat());
        Ok(())
    }
}
