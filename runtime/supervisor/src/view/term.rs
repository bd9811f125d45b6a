//! A field in a terminal: two pixels a character with 24-bit colour, or letters where there is none.

use std::fmt::Write;

use super::FieldView;
use super::color::Scale;

/// From nothing to much; each letter inks a little more than the one before.
const RAMP: &[u8; 10] = b" .:-=+*#%@";

/// The field in `columns` characters a line, and as many lines as keep its shape (at most `rows`), each
/// ended by a line feed; the last line is the range.
///
/// A character shows two values, one above the other. Without colour, a letter shows the mean of both:
/// for a field with negative values the distance from 0, since ink has no sign.
pub(crate) fn heat_map(field: FieldView<'_>, columns: usize, rows: usize, color: bool) -> String {
    let columns = columns.max(1);
    let lines = (columns * field.ny).div_ceil(field.nx * 2).clamp(1, rows.max(1));
    let scale = Scale::of(field.cells);
    let mut out = String::new();
    for line in 0..lines {
        for column in 0..columns {
            if color {
                let half = |half| field.block_mean([column, line * 2 + half], [columns, lines * 2]);
                half_block(&mut out, scale.color(half(0)), scale.color(half(1)));
            } else {
                out.push(letter(&scale, field.block_mean([column, line], [columns, lines])));
            }
        }
        out.push_str(if color { "\x1b[0m\n" } else { "\n" });
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} to {}, {} x {} cells", scale.low, scale.high, field.nx, field.ny);
    out
}

fn half_block(out: &mut String, [r, g, b]: [u8; 3], [r2, g2, b2]: [u8; 3]) {
    let _ = write!(out, "\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m\u{2580}");
}

fn letter(scale: &Scale, value: f32) -> char {
    match scale.position(value) {
        Some(position) => {
            let ink = if scale.signed { (position * 2.0 - 1.0).abs() } else { position };
            char::from(RAMP[(ink * (RAMP.len() - 1) as f32).round() as usize])
        }
        None => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_follow_the_value_and_the_shape_is_kept() {
        let cells: Vec<f32> = (0..8).flat_map(|_| (0..8).map(|x| x as f32)).collect();
        let text = heat_map(FieldView::new(8, 8, &cells).unwrap(), 8, 99, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0], " .-=+*%@");
        assert_eq!(lines[4], "0 to 7, 8 x 8 cells");
    }

    #[test]
    fn signed_fields_ink_the_distance_from_zero() {
        let cells = [-1.0, 0.0, 1.0, f32::NAN];
        let text = heat_map(FieldView::new(4, 1, &cells).unwrap(), 4, 9, false);
        assert!(text.starts_with("@ @?\n"), "{text}");
    }

    #[test]
    fn colour_has_two_values_a_character() {
        let field = FieldView::new(1, 4, &[0.0, 1.0, 1.0, 0.0]).unwrap();
        let text = heat_map(field, 1, 9, true);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "\x1b[38;2;68;1;84;48;2;253;231;37m\u{2580}\x1b[0m");
        assert_eq!(lines[1], "\x1b[38;2;253;231;37;48;2;68;1;84m\u{2580}\x1b[0m");
    }

    #[test]
    fn any_width_and_height_will_do() {
        let cells = vec![1.0; 300 * 7];
        for columns in [0, 1, 79, 1000] {
            for rows in [0, 1, 24] {
                for color in [false, true] {
                    let text =
                        heat_map(FieldView::new(300, 7, &cells).unwrap(), columns, rows, color);
                    assert!(text.lines().count() <= rows.max(1) + 1);
                }
            }
        }
    }
}
