//! Reading the pictures that are part of the program.

use std::io::Cursor;

/// A square picture, four bytes per pixel: red, green, blue, opacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) size: u32,
    pub(crate) rgba: Vec<u8>,
}

/// `None` if it is not a square picture with 8 bits per channel and opacity; a test sees to it
/// that every committed one is.
pub(super) fn decode(file: &[u8]) -> Option<Pixels> {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
    let mut rgba = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut rgba).ok()?;
    let fits = (frame.color_type, frame.bit_depth) == (png::ColorType::Rgba, png::BitDepth::Eight);
    rgba.truncate(frame.buffer_size());
    (fits && frame.width == frame.height).then_some(Pixels {
        size: frame.width,
        rgba,
    })
}
