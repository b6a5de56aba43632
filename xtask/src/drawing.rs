//! What all pictures share. Colours and text can be read on dark and on light pages.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, RGBColor};
use plotters::style::{IntoFont as _, TextStyle};

/// Text and axes. The contrast to white and to black is about the same.
pub(crate) const INK: RGBColor = RGBColor(0x76, 0x7c, 0x85);

/// A part of a picture.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The outcome of drawing.
pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Returns the style of text with a height in pixels.
pub(crate) fn text(height: u32) -> TextStyle<'static> {
    ("sans-serif", height).into_font().color(&INK)
}
