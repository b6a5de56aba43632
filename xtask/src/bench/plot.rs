//! One plot a group: a bar for each benchmark, and a line for its spread.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Rectangle, SVGBackend,
    ShapeStyle, Text,
};
use plotters::style::{BLACK, Color as _, WHITE};

use super::samples::{Benchmark, Spread, is_ours};

/// Pixels.
const WIDTH: i32 = 960;
const LABELS: i32 = 330;
const NUMBERS: i32 = 70;
const ROW: i32 = 20;
const MARGIN: i32 = 12;

const OURS: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const OTHERS: RGBColor = RGBColor(0xa8, 0xb0, 0xb8);
const LINE: RGBColor = RGBColor(0x30, 0x30, 0x30);

/// What a bar is as long as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Nanoseconds a request.
    Time,
    /// The ratio to the yardstick.
    Ratio,
}

impl Quantity {
    pub(super) fn of(self, benchmark: &Benchmark) -> Spread {
        match self {
            Self::Time => benchmark.time,
            Self::Ratio => benchmark.ratio,
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Time => "ns a request",
            Self::Ratio => "× the time of the first",
        }
    }
}

/// Draws the benchmarks of a group, which are in order, as SVG.
pub(super) fn svg(benchmarks: &[&Benchmark], quantity: Quantity) -> Result<String> {
    let works = benchmarks.chunk_by(|a, b| a.work == b.work).count();
    let rows = i32::try_from(benchmarks.len() + works)?;
    let height = MARGIN * 2 + ROW * (rows + 1);
    let mut svg = String::new();
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    draw(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), benchmarks, quantity)
        .map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(area: &Area<'_>, benchmarks: &[&Benchmark], quantity: Quantity) -> Drawn {
    area.fill(&WHITE)?;
    let longest = benchmarks.iter().map(|benchmark| quantity.of(benchmark).high).fold(0.0, f64::max);
    let room = f64::from(WIDTH - LABELS - NUMBERS - 2 * MARGIN);
    #[expect(clippy::cast_possible_truncation, reason = "a pixel of the plot")]
    let x = |value: f64| LABELS + (value / longest * room) as i32;
    let mut y = MARGIN;
    text(area, quantity.unit(), (LABELS, y), 12)?;
    y += ROW;
    for work in benchmarks.chunk_by(|a, b| a.work == b.work) {
        text(area, work.first().map_or("", |benchmark| &benchmark.work), (MARGIN, y + 4), 13)?;
        y += ROW;
        for benchmark in work {
            let Spread { low, median, high } = quantity.of(benchmark);
            let colour = if is_ours(&benchmark.contender) { OURS } else { OTHERS };
            text(area, &benchmark.contender, (MARGIN + 16, y + 3), 12)?;
            area.draw(&Rectangle::new([(x(0.0), y + 2), (x(median), y + ROW - 4)], colour.filled()))?;
            let line = ShapeStyle::from(&LINE).stroke_width(1);
            let middle = y + ROW / 2 - 1;
            area.draw(&PathElement::new([(x(low), middle), (x(high), middle)], line))?;
            for end in [x(low), x(high)] {
                area.draw(&PathElement::new([(end, middle - 4), (end, middle + 4)], line))?;
            }
            text(area, &format!("{median:.1}"), (x(high.max(median)) + 6, y + 3), 12)?;
            y += ROW;
        }
    }
    area.present()?;
    Ok(())
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: i32) -> Drawn {
    area.draw(&Text::new(words, at, ("sans-serif", size).into_font().color(&BLACK)))?;
    Ok(())
}
