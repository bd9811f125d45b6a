//! The `layout!` macro: a POD that knows its own byte map, so that the map can be hashed, printed and
//! compared with the picture in the documentation.

/// One field of a POD: its name, its offset and its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldMap {
    /// The Rust field name.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset_bytes: usize,
    /// Bytes the field occupies.
    pub size_bytes: usize,
    /// The Rust type, as written.
    pub type_name: &'static str,
    /// Its comment, line by line.
    pub meaning: &'static str,
}

/// One POD: its name, its size and its fields in memory order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructMap {
    /// The Rust type name.
    pub name: &'static str,
    /// `size_of` the type.
    pub size_bytes: usize,
    /// Every field; the derive of `Pod` proves that nothing lies between them.
    pub fields: &'static [FieldMap],
    /// Its comment, line by line.
    pub meaning: &'static str,
}

/// Defines a `#[repr(C)]` POD with a fixed, asserted size and a byte map.
macro_rules! layout {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident: $size:literal {
            $($(#[doc = $fdoc:literal])* pub $field:ident: $ty:ty),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Zeroable, bytemuck::Pod)]
        pub struct $name { $($(#[doc = $fdoc])* pub $field: $ty),* }

        impl $name {
            /// The byte map of this type.
            pub const MAP: $crate::layout::StructMap = $crate::layout::StructMap {
                name: stringify!($name),
                size_bytes: core::mem::size_of::<$name>(),
                fields: &[$($crate::layout::FieldMap {
                    name: stringify!($field),
                    offset_bytes: core::mem::offset_of!($name, $field),
                    size_bytes: core::mem::size_of::<$ty>(),
                    type_name: stringify!($ty),
                    meaning: concat!($($fdoc, "\n"),*),
                }),*],
                meaning: concat!($($doc, "\n"),*),
            };
        }
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        const _: () = assert!(core::mem::align_of::<$name>() <= 8);
    };
}
pub(crate) use layout;

/// A byte ruler of one struct, 16 bytes a row, as the documentation shows it.
pub fn ruler(map: &StructMap) -> String {
    use core::fmt::Write;
    let mut out = format!("{} ({} bytes)\n", map.name, map.size_bytes);
    for field in map.fields {
        let last = field.offset_bytes + field.size_bytes - 1;
        let _ = writeln!(
            out,
            "  {:>5}..{:<5} {:>5} B  {}",
            field.offset_bytes, last, field.size_bytes, field.name
        );
    }
    out
}

/// FNV-1a, 64 bit, in `const` context: the layout hash must be a compile-time constant.
pub(crate) const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

pub(crate) const fn hash_struct(mut hash: u64, map: &StructMap) -> u64 {
    hash = fnv1a(hash, map.name.as_bytes());
    hash = fnv1a(hash, &(map.size_bytes as u64).to_le_bytes());
    let mut i = 0;
    while i < map.fields.len() {
        hash = fnv1a(hash, map.fields[i].name.as_bytes());
        hash = fnv1a(hash, &(map.fields[i].offset_bytes as u64).to_le_bytes());
        hash = fnv1a(hash, &(map.fields[i].size_bytes as u64).to_le_bytes());
        i += 1;
    }
    hash
}
