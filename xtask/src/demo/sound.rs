//! The picture of a comparison: sent and received sound over each other, and the difference.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use end_to_end::duplex::Comparison;
use end_to_end::wav::{self, Frame, RATE};
use indicatif::HumanCount;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::drawing::{Area, Drawn, INK, text};

/// The width and height of the picture in pixels. The lengths below are in pixels, too.
const SIZE: (u32, u32) = (960, 640);
const TITLE: u32 = 72;
const CHANNEL: u32 = 130;
const DETAIL: u32 = 166;
const LEFT_OF_PLOT: u32 = 68;
/// The number of columns in which the sound is drawn.
const COLUMNS: usize = 430;

const SENT: RGBColor = RGBColor(0x2f, 0x9e, 0xe6);
const RECEIVED: RGBColor = RGBColor(0xe0, 0x6c, 0x0c);
pub(super) const GOOD: RGBColor = RGBColor(0x1f, 0x98, 0x50);
pub(super) const BAD: RGBColor = RGBColor(0xde, 0x3b, 0x3b);

/// The frames that are drawn one by one, from the start of a note on.
const DETAIL_FRAMES: Range<usize> = 60_000..60_144;

/// What a picture says in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) title: &'static str,
    pub(super) sent: &'static str,
    pub(super) received: &'static str,
}

/// Sent and received frames of the same position.
struct Frames {
    sent: Vec<Frame>,
    received: Vec<Frame>,
    verdict: String,
    is_exact: bool,
}

/// Draws a comparison.
pub(super) fn draw(names: Names, comparison: &Comparison, picture: &Path) -> Result<()> {
    let report = &comparison.report;
    let (mut sent, mut received) = (wav::read(&comparison.sent)?, wav::read(&comparison.received)?);
    received.drain(..report.silence_before.min(received.len()));
    sent.truncate(report.expected as usize);
    received.truncate(sent.len());
    let (in_order, expected) = (HumanCount(report.in_order.into()), HumanCount(report.expected.into()));
    let verdict = if report.is_exact() {
        format!("identical: all {expected} frames arrived bit-exact, once and in order")
    } else {
        format!("not identical: {in_order} of {expected} frames arrived bit-exact and in order")
    };
    let frames = Frames { sent, received, verdict, is_exact: report.is_exact() };
    draw_all(names, &frames, &SVGBackend::new(picture, SIZE).into_drawing_area())
        .map_err(|error| anyhow!("cannot draw {}: {error}", picture.display()))
}

fn draw_all(names: Names, frames: &Frames, area: &Area<'_>) -> Drawn {
    let (title, rest) = area.split_vertically(TITLE);
    let (left, rest) = rest.split_vertically(CHANNEL);
    let (right, rest) = rest.split_vertically(CHANNEL);
    let (detail, difference) = rest.split_vertically(DETAIL);
    headline(names, frames, &title)?;
    for (channel, (name, area)) in [("left", &left), ("right", &right)].into_iter().enumerate() {
        whole(frames, channel, name, area)?;
    }
    one_by_one(frames, &detail)?;
    differences(frames, &difference)?;
    Ok(area.present()?)
}

fn headline(names: Names, frames: &Frames, area: &Area<'_>) -> Drawn {
    let colour = if frames.is_exact { GOOD } else { BAD };
    area.draw_text(names.title, &text(24), (8, 6))?;
    area.draw_text(&frames.verdict, &text(20).color(&colour), (8, 40))?;
    for (row, name, colour) in [(10, names.sent, SENT), (42, names.received, RECEIVED)] {
        area.draw(&Rectangle::new([(700, row), (718, row + 13)], colour.filled()))?;
        area.draw_text(name, &text(19), (726, row - 3))?;
    }
    Ok(())
}

/// A plot of values by time.
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The axes of a plot.
struct Axes {
    seconds: Range<f64>,
    values: Range<f64>,
    /// What is shown, below the times.
    caption: &'static str,
    y: String,
    /// The digits after the point, of a time and of a value.
    decimals: (usize, usize),
}

impl Axes {
    fn draw<'a, 'b>(self, area: &'a Area<'b>) -> Result<Plot<'a, 'b>, Box<dyn std::error::Error + 'b>> {
        let Self { caption, decimals, .. } = self;
        let mut plot = ChartBuilder::on(area)
            .margin(4)
            .margin_right(42)
            .x_label_area_size(if caption.is_empty() { 28 } else { 54 })
            .y_label_area_size(LEFT_OF_PLOT)
            .build_cartesian_2d(self.seconds, self.values)?;
        plot.configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.25))
            .axis_style(INK)
            .label_style(text(18))
            .axis_desc_style(text(18))
            .x_labels(6)
            .x_label_formatter(&|x| format!("{x:.*} s", decimals.0))
            .x_desc(caption)
            .y_labels(3)
            .y_label_formatter(&|y| format!("{y:.*}", decimals.1))
            .y_desc(self.y)
            .draw()?;
        Ok(plot)
    }
}

/// Draws all of a channel: what was sent as a surface, what was received as its outline.
fn whole(frames: &Frames, channel: usize, name: &str, area: &Area<'_>) -> Drawn {
    let mut plot = Axes {
        seconds: 0.0..seconds(frames.sent.len()),
        values: -1.0..1.0,
        caption: "",
        y: format!("level, {name}"),
        decimals: (0, 0),
    }
    .draw(area)
    .map_err(|error| error.to_string())?;
    let (high, low) = envelope(&frames.sent, channel);
    let surface: Vec<_> = high.into_iter().chain(low.into_iter().rev()).collect();
    plot.draw_series([Polygon::new(surface, SENT.mix(0.55).filled())])?;
    let (high, low) = envelope(&frames.received, channel);
    for outline in [high, low] {
        plot.draw_series(LineSeries::new(outline, RECEIVED))?;
    }
    Ok(())
}

/// Values by time.
type Points = Vec<(f64, f64)>;

/// Returns the highest and the lowest level in each column, by the time.
fn envelope(frames: &[Frame], channel: usize) -> (Points, Points) {
    let columns = frames.chunks(frames.len().div_ceil(COLUMNS).max(1));
    let mut first = 0;
    let mut bounds = (Vec::new(), Vec::new());
    for column in columns {
        let samples = column.iter().map(|frame| frame[channel]);
        let (low, high) = samples.fold((i16::MAX, i16::MIN), |(a, b), it| (a.min(it), b.max(it)));
        let time = seconds(first + column.len() / 2);
        bounds.0.push((time, level(high)));
        bounds.1.push((time, level(low)));
        first += column.len();
    }
    bounds
}

/// Draws some frames of the left channel: what was sent as a line, what was received as dots.
fn one_by_one(frames: &Frames, area: &Area<'_>) -> Drawn {
    let shown = DETAIL_FRAMES.start.min(frames.sent.len())..DETAIL_FRAMES.end.min(frames.sent.len());
    let times = seconds(shown.start)..seconds(shown.end).max(seconds(shown.start) + f64::EPSILON);
    let points = |all: &[Frame]| -> Points {
        let frames = all.get(shown.start..shown.end.min(all.len())).unwrap_or_default();
        frames.iter().enumerate().map(|(at, it)| (seconds(shown.start + at), level(it[0]))).collect()
    };
    let mut plot = Axes {
        seconds: times,
        values: -1.0..1.0,
        caption: "three milliseconds: sent as a line, each received sample as a dot",
        y: "level, left".to_owned(),
        decimals: (4, 0),
    }
    .draw(area)
    .map_err(|error| error.to_string())?;
    plot.draw_series(LineSeries::new(points(&frames.sent), SENT.stroke_width(2)))?;
    let dots = points(&frames.received).into_iter().map(|point| Circle::new(point, 2, RECEIVED.filled()));
    plot.draw_series(dots)?;
    Ok(())
}

/// Draws received minus sent, in steps of a sample. Each column shows the largest difference.
fn differences(frames: &Frames, area: &Area<'_>) -> Drawn {
    let lines = [0, 1].map(|channel| difference(frames, channel));
    let largest = lines.iter().flatten().map(|it| it.1.abs()).fold(2.0, f64::max) * 1.2;
    let mut plot = Axes {
        seconds: 0.0..seconds(frames.sent.len()),
        values: -largest..largest,
        caption: "received minus sent, both channels, in steps of a 16-bit sample",
        y: "difference".to_owned(),
        decimals: (0, 0),
    }
    .draw(area)
    .map_err(|error| error.to_string())?;
    let colour = if frames.is_exact { GOOD } else { BAD };
    for line in lines {
        plot.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
    }
    Ok(())
}

/// Returns the difference that is farthest from zero in each column. A missing frame counts as 0.
fn difference(frames: &Frames, channel: usize) -> Points {
    let received = frames.received.iter().copied().chain(std::iter::repeat([0, 0]));
    let differences: Vec<i32> = frames
        .sent
        .iter()
        .zip(received)
        .map(|(sent, received)| i32::from(received[channel]) - i32::from(sent[channel]))
        .collect();
    let width = differences.len().div_ceil(COLUMNS).max(1);
    let columns = differences.chunks(width).enumerate();
    columns
        .map(|(column, all)| {
            let largest = all.iter().copied().max_by_key(|it| it.abs()).unwrap_or(0);
            (seconds(column * width), f64::from(largest))
        })
        .collect()
}

/// Returns the time of a frame.
fn seconds(frame: usize) -> f64 {
    // A recording has at most 255 seconds.
    f64::from(u32::try_from(frame).unwrap_or(u32::MAX)) / f64::from(RATE)
}

/// Returns the level of a sample, where full scale is 1.
fn level(sample: i16) -> f64 {
    f64::from(sample) / f64::from(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use end_to_end::tune::Tune;
    use std::fs;

    const NAMES: Names = Names { title: "a title", sent: "sent", received: "received" };

    /// Draws the comparison of a tune with `received`.
    fn drawn(tune: &Tune, received: &[Frame]) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let file = |name| directory.path().join(name);
        fs::write(file("sent.wav"), tune.to_wav())?;
        fs::write(file("received.wav"), wav::to_bytes(received.iter().copied())?)?;
        let report = tune.check_wav(&file("received.wav"))?;
        let comparison = Comparison { report, sent: file("sent.wav"), received: file("received.wav") };
        draw(NAMES, &comparison, &file("a.svg"))?;
        Ok(fs::read_to_string(file("a.svg"))?)
    }

    #[test]
    fn a_picture_has_names_axes_and_the_verdict() -> Result<()> {
        let tune = Tune::seconds(2);
        let svg = drawn(&tune, tune.frames())?;
        for words in ["a title", "sent", "received", "level, left", "2 s", "identical: all 96,000 frames"] {
            assert!(svg.contains(words), "{words}");
        }
        Ok(())
    }

    #[test]
    fn a_wrong_sample_is_in_the_verdict_and_in_the_difference() -> Result<()> {
        let tune = Tune::seconds(2);
        let mut received = tune.frames().to_vec();
        received[1000][0] -= 77;
        let svg = drawn(&tune, &received)?;
        assert!(svg.contains("not identical: 95,999 of 96,000 frames"), "{svg}");
        let frames =
            Frames { sent: tune.frames().to_vec(), received, verdict: String::new(), is_exact: false };
        let largest = |channel| difference(&frames, channel).into_iter().map(|it| it.1).fold(0.0, f64::min);
        assert_eq!((largest(0), largest(1)), (-77.0, 0.0));
        Ok(())
    }

    #[test]
    fn a_recording_that_ends_early_is_drawn() -> Result<()> {
        let tune = Tune::seconds(1);
        let svg = drawn(&tune, &tune.frames()[..100])?;
        assert!(svg.contains("not identical: 100 of 48,000 frames"), "{svg}");
        Ok(())
    }
}
