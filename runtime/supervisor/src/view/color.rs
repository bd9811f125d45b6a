//! From a value to a colour: viridis where nothing is negative, blue-white-red where sign matters.

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// Shown where a cell is not a finite number: a grey that neither map contains.
pub(crate) const NOT_A_NUMBER: Rgb = [96, 96, 96];

/// Nine colours of matplotlib's viridis, evenly spaced; lightness rises by equal steps.
const VIRIDIS: [Rgb; 9] = [
    [0x44, 0x01, 0x54],
    [0x47, 0x2d, 0x7b],
    [0x3b, 0x52, 0x8b],
    [0x2c, 0x72, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x28, 0xae, 0x80],
    [0x5e, 0xc9, 0x62],
    [0xad, 0xdc, 0x30],
    [0xfd, 0xe7, 0x25],
];

/// ColorBrewer's RdBu in nine classes, negative first.
const BLUE_WHITE_RED: [Rgb; 9] = [
    [0x21, 0x66, 0xac],
    [0x43, 0x93, 0xc3],
    [0x92, 0xc5, 0xde],
    [0xd1, 0xe5, 0xf0],
    [0xf7, 0xf7, 0xf7],
    [0xfd, 0xdb, 0xc7],
    [0xf4, 0xa5, 0x82],
    [0xd6, 0x60, 0x4d],
    [0xb2, 0x18, 0x2b],
];

/// A colour map and the range it spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Value of the first colour.
    pub(crate) low: f32,
    /// Value of the last colour.
    pub(crate) high: f32,
    /// Whether the middle of the map means 0.
    pub(crate) signed: bool,
}

impl Scale {
    /// The scale of these cells: from 0 to the largest for values that are never negative, symmetric
    /// around 0 otherwise. Cells that are not finite do not count.
    pub(crate) fn of(cells: &[f32]) -> Self {
        let finite = cells.iter().copied().filter(|cell| cell.is_finite());
        let (low, high) = finite.fold((0.0f32, 0.0f32), |(low, high), x| (low.min(x), high.max(x)));
        if low < 0.0 {
            let reach = high.max(-low);
            Self { low: -reach, high: reach, signed: true }
        } else {
            Self { low: 0.0, high, signed: false }
        }
    }

    /// Where a value lies in the range, from 0 to 1; `None` if it is not finite.
    pub(crate) fn position(&self, value: f32) -> Option<f32> {
        let span = f64::from(self.high) - f64::from(self.low);
        let position =
            if span > 0.0 { (f64::from(value) - f64::from(self.low)) / span } else { 0.0 };
        value.is_finite().then_some(position.clamp(0.0, 1.0) as f32)
    }

    /// The colour of a value.
    pub(crate) fn color(&self, value: f32) -> Rgb {
        self.position(value).map_or(NOT_A_NUMBER, |position| self.color_at(position))
    }

    /// The colour at a place of the map, from 0 to 1.
    pub(crate) fn color_at(&self, position: f32) -> Rgb {
        let map = if self.signed { &BLUE_WHITE_RED } else { &VIRIDIS };
        let place = position.clamp(0.0, 1.0) * (map.len() - 1) as f32;
        let first = (place as usize).min(map.len() - 2);
        let part = place - first as f32;
        std::array::from_fn(|channel| {
            let (a, b) = (f32::from(map[first][channel]), f32::from(map[first + 1][channel]));
            (a + (b - a) * part).round() as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_the_data_picks_the_map() {
        let positive = Scale::of(&[0.5, 2.0, f32::NAN, f32::INFINITY]);
        assert_eq!(positive, Scale { low: 0.0, high: 2.0, signed: false });
        assert_eq!(positive.color(2.0), VIRIDIS[8]);
        assert_eq!(positive.color(0.0), VIRIDIS[0]);
        assert_eq!(positive.color(f32::NAN), NOT_A_NUMBER);
        let signed = Scale::of(&[-3.0, 1.0]);
        assert_eq!(signed, Scale { low: -3.0, high: 3.0, signed: true });
        assert_eq!(signed.color(0.0), BLUE_WHITE_RED[4]);
        assert_eq!(signed.color(-3.0), BLUE_WHITE_RED[0]);
    }

    #[test]
    fn flat_and_huge_fields_have_colours_too() {
        assert_eq!(Scale::of(&[0.0]).color(0.0), VIRIDIS[0]);
        let huge = Scale::of(&[-f32::MAX, f32::MAX]);
        assert_eq!(huge.color(f32::MAX), BLUE_WHITE_RED[8]);
    }
}
