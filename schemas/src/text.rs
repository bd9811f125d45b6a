//! Fixed-size, zero-padded UTF-8 names inside PODs.

/// Packs `text` into `N` bytes: cut at a character border if too long, padded with zeros, and always
/// ended by at least one zero so that a C reader can print it.
pub fn pack<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0u8; N];
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out[..end].copy_from_slice(&text.as_bytes()[..end]);
    out
}

/// The text up to the first zero; bytes that are not UTF-8 show as U+FFFD, never as an error.
pub fn unpack(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_cut() {
        assert_eq!(unpack(&pack::<8>("wave")), "wave");
        assert_eq!(unpack(&pack::<4>("wave")), "wav");
        assert_eq!(unpack(&pack::<4>("aéé")), "aé");
        assert_eq!(unpack(&[0xff, 0]), "\u{fffd}");
    }
}
