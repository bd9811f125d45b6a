//! NumPy's file format, version 1.0, for one f32 field of shape (ny, nx) in C order.
//!
//! Source: numpy/lib/format.py (NEP 1).

use super::FieldView;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The data begin at a multiple of this, so that they can be mapped.
const ALIGN: usize = 64;

/// The bytes of a `.npy` file.
pub(crate) fn write(field: FieldView<'_>) -> Vec<u8> {
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
        field.ny, field.nx
    );
    let prefix = MAGIC.len() + 4;
    let padded = (prefix + header.len() + 1).next_multiple_of(ALIGN) - prefix;
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    let mut out = Vec::with_capacity(prefix + padded + field.cells.len() * 4);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[1, 0]);
    // Two axes of at most 20 digits each: the header never comes near 64 KiB.
    out.extend_from_slice(&(padded as u16).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend(field.cells.iter().flat_map(|cell| cell.to_le_bytes()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_numpy_writes() {
        let cells = [1.0, -2.5, f32::INFINITY, 0.0, 1e-40, 3.0];
        let bytes = write(FieldView::new(3, 2, &cells).unwrap());
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(u16::from_le_bytes([bytes[8], bytes[9]]), 118);
        let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert!(bytes[10..].starts_with(header));
        assert_eq!((bytes[127], bytes.len()), (b'\n', 128 + 24));
        assert_eq!(&bytes[128..132], 1.0f32.to_le_bytes());
    }
}
