//! How the plane's numbers become SQLite's: no u64, and no NaN.

/// A counter, sequence, tick or time as SQLite's signed 64 bits. Nothing here reaches 2^63 in the life
/// of a machine; a value that does is damage, and saturates instead of turning negative.
pub fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number, or NULL where it is undefined: NaN and infinities have no place in JSON or in averages.
pub fn real(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A SQLite integer that came from [`int`]; a negative one is damage and reads as 0.
pub fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The 16 bytes behind 32 hexadecimal digits, if that is what `text` is (hyphens are skipped).
pub fn parse_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut id = [0u8; 16];
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let id = *b"0123456789abcdef";
        assert_eq!(parse_id(&hex(&id)), Some(id));
        assert_eq!(parse_id("zz"), None);
        assert_eq!(parse_id(&"x".repeat(32)), None);
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(real(f64::NAN), None);
        assert_eq!(real(f64::INFINITY), None);
        assert_eq!(real(1.5), Some(1.5));
        assert_eq!(int(u64::MAX), i64::MAX);
    }
}
