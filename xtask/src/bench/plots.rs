//! The pictures: lines by a number, and bars. Each implementation has one colour.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::counted::Counted;
use super::groups::Quantity;
use super::samples::Benchmark;
use super::summary;
use crate::drawing::{Area, Drawn, INK, text};

/// The picture of README.
const INSTRUCTIONS: &str = "benches/instructions.svg";
/// In pixels.
const SIZE: (u32, u32) = (900, 420);
const BAR: u32 = 34;
/// The width of a picture without the legend beside it.
const CHART: i32 = 600;

/// One implementation's values by a number.
#[derive(Debug)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What the axes of a picture show.
#[derive(Debug, Clone, Copy)]
struct Axes {
    x: &'static str,
    y: &'static str,
    /// Returns the text at a value of `x`.
    label: fn(f64) -> String,
}

/// A group whose cases are numbers.
const SWEEPS: [(&str, Quantity, Axes); 4] = [
    ("burst_length", Quantity::Time, of_time("requests in a burst")),
    ("queue_size", Quantity::Time, of_time("descriptors of the queue")),
    ("chain_length", Quantity::Time, of_time("descriptors of a request")),
    (
        "in_flight",
        Quantity::Ratio,
        Axes {
            y: "time, as a multiple of two rtrb rings",
            ..of_time("buffers in flight between two threads")
        },
    ),
];

const fn of_time(x: &'static str) -> Axes {
    Axes { x, y: "ns for each request", label: number }
}

fn number(x: f64) -> String {
    format!("{x:.0}")
}

/// Returns the name of the percentile above which one in `x` requests is.
fn percentile(x: f64) -> String {
    let rounded = (1000.0 - 1000.0 / x).round() / 10.0;
    format!("p{rounded}")
}

/// The axes of the distribution of single requests.
const LATENCY: Axes = Axes { x: "percentile", y: "ns from add to reap", label: percentile };

/// Draws all pictures to `directory`, and README's beside the results.
pub(super) fn draw(directory: &Path, benchmarks: &[Benchmark], counted: &[Counted]) -> Result<()> {
    let plots = directory.join("plots");
    fs::create_dir_all(&plots).with_context(|| format!("cannot create {}", plots.display()))?;
    let failed = |error| anyhow!("cannot draw: {error}");
    bars(Path::new(INSTRUCTIONS), counted).map_err(failed)?;
    for (group, quantity, axes) in SWEEPS {
        let lines = sweep(benchmarks, group, quantity);
        lines_by(&plots.join(group).with_extension("svg"), axes, &lines).map_err(failed)?;
    }
    let lines = distributions(&directory.join("distributions"));
    lines_by(&plots.join("latency.svg"), LATENCY, &lines).map_err(failed)?;
    println!("The pictures are in {}; criterion's are in target/criterion.", plots.display());
    Ok(())
}

/// Returns the lines of a group. Samples of far processors are left out.
fn sweep(benchmarks: &[Benchmark], group: &str, quantity: Quantity) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for it in benchmarks.iter().filter(|it| it.group == group && !it.case.ends_with(", far")) {
        let number = it.case.split(',').next().and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        let point = (number, quantity.of(it).median);
        match lines.iter_mut().find(|line| line.name == it.implementation) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: it.implementation.clone(), points: vec![point] }),
        }
    }
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    lines
}

/// Returns the percentiles from p50 to p99.9 of single requests, by how rare a longer time is.
fn distributions(directory: &Path) -> Vec<Line> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut lines: Vec<Line> = files.filter_map(|file| distribution(&file.path())).collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    lines
}

fn distribution(file: &Path) -> Option<Line> {
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let numbers = |name: &str| -> Vec<f64> {
        record[name].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    let percentiles = numbers("tenths_of_a_percent").into_iter().zip(numbers("nanoseconds"));
    let from_p50 = percentiles.filter(|(tenths, _)| (500.0..1000.0).contains(tenths));
    let points = from_p50.map(|(tenths, time)| (1000.0 / (1000.0 - tenths), time)).collect();
    Some(Line { name: record["implementation"].as_str()?.to_owned(), points })
}

/// The colour of each implementation, by the start of its name. ring-core is blue.
const COLOURS: [(&str, RGBColor); 14] = [
    ("ring-core split, serve", RGBColor(0x0b, 0x57, 0xd0)),
    ("ring-core split, burst", RGBColor(0x2f, 0x9e, 0xe6)),
    ("ring-core split", RGBColor(0x1a, 0x7f, 0xd4)),
    ("ring-core packed, serve", RGBColor(0x00, 0x7f, 0x8c)),
    ("ring-core packed, burst", RGBColor(0x2b, 0xb3, 0xb0)),
    ("ring-core packed", RGBColor(0x14, 0x99, 0x9e)),
    ("virtio-drivers + virtio-queue, iterating", RGBColor(0xe0, 0x7b, 0x1f)),
    ("virtio-drivers", RGBColor(0xb8, 0x5a, 0x10)),
    ("virtio-driver + virtio-queue, iterating", RGBColor(0xc2, 0x55, 0xa8)),
    ("virtio-driver", RGBColor(0x93, 0x3f, 0x8f)),
    ("two rtrb rings", RGBColor(0x8a, 0x8f, 0x1d)),
    ("lines of a split queue", RGBColor(0x7f, 0x86, 0x8f)),
    ("lines of a packed queue", RGBColor(0xa8, 0x9a, 0x8a)),
    ("empty pair", INK),
];

fn colour(name: &str) -> RGBColor {
    COLOURS.iter().find(|(start, _)| name.starts_with(start)).map_or(INK, |(_, colour)| *colour)
}

/// Draws lines by a number, both on logarithmic scales, and a legend in the order of the last
/// values.
fn lines_by(picture: &Path, axes: Axes, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = points().map(of).fold((f64::MAX, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
        (low > 0.0 && low <= high).then_some(low * 0.9..high * 1.1)
    };
    let (Some(x), Some(y)) = (range(|point| point.0), range(|point| point.1)) else { return Ok(()) };
    let whole: Area<'_> = SVGBackend::new(picture, SIZE).into_drawing_area();
    let (area, beside) = whole.split_horizontally(CHART);
    let text = text(14);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.3))
        .axis_style(INK)
        .label_style(text.clone())
        .axis_desc_style(text.clone())
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|x| (axes.label)(*x))
        .draw()?;
    let last = |line: &Line| line.points.last().map_or(0.0, |point| point.1);
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by(|a, b| last(b).total_cmp(&last(a)));
    let middle = text.pos(Pos::new(HPos::Left, VPos::Center));
    for (row, line) in (0..).zip(sorted) {
        let style = ShapeStyle::from(&colour(&line.name)).stroke_width(2);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(3))?;
        let y = 24 + row * 22;
        beside.draw(&PathElement::new([(4, y), (22, y)], style))?;
        beside.draw_text(&line.name, &middle, (28, y))?;
    }
    Ok(whole.present()?)
}

/// Draws the instructions of a request of one descriptor through both ends, as a bar for each
/// implementation. The number behind a bar tells how many times ring-core's split queue that is.
fn bars(picture: &Path, counted: &[Counted]) -> Drawn {
    let measured = summary::instructions(counted);
    let mut shown: Vec<(&str, f64)> = measured
        .iter()
        .filter(|it| it.case == "both/1" && !it.name.ends_with(", negotiated"))
        .map(|it| (it.name, it.value))
        .collect();
    shown.sort_by(|a, b| a.1.total_cmp(&b.1));
    let one = summary::ours(&measured, "both/1", "ring-core split").map_or(1.0, |it| it.value);
    let most = shown.last().map_or(1.0, |it| it.1);
    let height = BAR * (u32::try_from(shown.len())? + 1);
    let area: Area<'_> = SVGBackend::new(picture, (SIZE.0, height)).into_drawing_area();
    let text = text(14);
    let title = "Instructions for a request of one descriptor, driver and device (the suite's own included)";
    area.draw_text(title, &text, (8, 8))?;
    let middle = text.pos(Pos::new(HPos::Left, VPos::Center));
    for (row, (name, value)) in (1..).zip(shown) {
        let y = row * i32::try_from(BAR)?;
        #[expect(clippy::cast_possible_truncation, reason = "pixels are few")]
        let end = 320 + (value / most * 430.0) as i32;
        area.draw_text(name, &middle, (8, y + 14))?;
        area.draw(&Rectangle::new([(320, y + 4), (end, y + 24)], colour(name).filled()))?;
        area.draw_text(&format!("{value:.0}   {:.2} ×", value / one), &middle, (end + 8, y + 14))?;
    }
    Ok(area.present()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_an_svg_with_a_legend() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let picture = directory.path().join("a.svg");
        let line = Line { name: "ring-core split".to_owned(), points: vec![(1.0, 40.0), (64.0, 15.0)] };
        lines_by(&picture, of_time("requests in a burst"), &[line]).map_err(|error| anyhow!("{error}"))?;
        let svg = fs::read_to_string(picture)?;
        assert!(svg.starts_with("<svg") && svg.contains("ring-core split"));
        Ok(())
    }

    #[test]
    fn the_axis_of_the_latency_names_percentiles() {
        assert_eq!([2.0, 10.0, 100.0, 1000.0].map(percentile), ["p50", "p90", "p99", "p99.9"]);
    }

    #[test]
    fn the_styles_of_one_format_have_different_colours() {
        let names = ["ring-core split", "ring-core split, burst", "ring-core split, serve"];
        let [plain, burst, serve] = names.map(colour);
        assert!(plain != burst && burst != serve && plain != serve);
    }
}
