//! A field as a PNG picture: every cell a square of whole pixels, beside it a bar with the colour map.

use super::FieldView;
use super::color::{Rgb, Scale};

/// The longer side of the picture of a smaller field, in pixels, before cells are made whole.
const SIDE_MIN: usize = 512;
/// Width of the bar, and of the gap before it.
const BAR: usize = 16;
/// A picture that could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PngError {
    /// More pixels than PNG counts.
    #[error("a field of {nx} x {ny} cells is too large for a PNG: use --npy")]
    TooLarge {
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
    },
    /// The encoder refused.
    #[error("cannot encode the PNG: {0}")]
    Encode(#[from] png::EncodingError),
}

/// The PNG, row `y = 0` on top. The range of the colours is in the text chunk `Range`.
///
/// With `legend`, a bar to the right shows the map, largest value on top.
pub(crate) fn png(field: FieldView<'_>, legend: bool) -> Result<Vec<u8>, PngError> {
    let scale = Scale::of(field.cells);
    let zoom = SIDE_MIN.div_ceil(field.nx.max(field.ny)).max(1);
    let side = if legend { 2 * BAR } else { 0 };
    let (width, height) = (field.nx * zoom + side, field.ny * zoom);
    let too_large = |_| PngError::TooLarge { nx: field.nx, ny: field.ny };
    let (width_u32, height_u32) =
        (u32::try_from(width).map_err(too_large)?, u32::try_from(height).map_err(too_large)?);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width_u32, height_u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk("Range".into(), format!("{} {}", scale.low, scale.high))?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(field, &scale, zoom, side, height))?;
    writer.finish()?;
    Ok(out)
}

fn pixels(field: FieldView<'_>, scale: &Scale, zoom: usize, side: usize, height: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity((field.nx * zoom + side) * height * 3);
    let mut row: Vec<u8> = Vec::new();
    for (y, cells) in field.cells.chunks_exact(field.nx).enumerate() {
        row.clear();
        for &cell in cells {
            repeat(&mut row, scale.color(cell), zoom);
        }
        for line in y * zoom..(y + 1) * zoom {
            pixels.extend_from_slice(&row);
            if side > 0 {
                repeat(&mut pixels, [255; 3], BAR);
                let position = 1.0 - line as f32 / (height - 1).max(1) as f32;
                repeat(&mut pixels, scale.color_at(position), side - BAR);
            }
        }
    }
    pixels
}

fn repeat(out: &mut Vec<u8>, color: Rgb, times: usize) {
    for _ in 0..times {
        out.extend_from_slice(&color);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn decode(bytes: &[u8]) -> (u32, u32, Vec<u8>, String) {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let text = reader.info().uncompressed_latin1_text[0].text.clone();
        (info.width, info.height, pixels, text)
    }

    #[test]
    fn cells_become_squares_of_at_least_512_pixels() {
        let cells = [0.0, 1.0, 2.0, 4.0, 3.0, f32::NAN];
        let bytes = png(FieldView::new(3, 2, &cells).unwrap(), false).unwrap();
        let (width, height, pixels, range) = decode(&bytes);
        assert_eq!((width, height, range.as_str()), (513, 342, "0 4"));
        let at =
            |x: usize, y: usize| -> Rgb { pixels[(y * 513 + x) * 3..][..3].try_into().unwrap() };
        let scale = Scale::of(&cells);
        assert_eq!(at(0, 0), scale.color(0.0));
        assert_eq!(at(170, 170), scale.color(0.0));
        assert_eq!(at(171, 170), scale.color(1.0));
        assert_eq!(at(0, 171), scale.color(4.0));
        assert_eq!(at(512, 341), scale.color(f32::NAN));
    }

    #[test]
    fn the_bar_has_the_largest_value_on_top() {
        let cells: Vec<f32> = (0..1024).map(|i| i as f32 - 512.0).collect();
        let bytes = png(FieldView::new(1024, 1, &cells).unwrap(), true).unwrap();
        assert_eq!(decode(&bytes).0, 1024 + 32);
        let bytes = png(FieldView::new(1, 1024, &cells).unwrap(), true).unwrap();
        let (width, height, pixels, _) = decode(&bytes);
        assert_eq!((width, height), (33, 1024));
        let scale = Scale::of(&cells);
        assert_eq!(pixels[32 * 3..][..3], scale.color_at(1.0));
        assert_eq!(pixels[pixels.len() - 3..], scale.color_at(0.0));
    }
}
