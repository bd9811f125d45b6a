//! A saved engine as bytes: what they are, and how they are checked before any of them is believed.
//!
//! Little-endian: magic, version, nx, ny, flags, length, CRC-32 of everything behind the head, then
//! scalars, then fields of singles. A state of another build, another size or another kind, or one
//! bit off, is refused as a whole.

use thiserror::Error;

/// First bytes of a state.
const MAGIC: [u8; 8] = *b"rsw-ckpt";
/// Changes with the meaning of anything behind the head.
const VERSION: u32 = 1;
/// Bytes of the head.
const HEAD_BYTES: usize = 40;

/// Why a saved state was refused; the engine is then as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Fewer or more bytes than a state of this engine has.
    #[error(
        "saved state has {found} bytes, this engine's have {expected}; start from rest instead"
    )]
    Length {
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Not a state.
    #[error("saved state does not begin like one; start from rest instead")]
    Magic,
    /// Of another version.
    #[error("saved state has version {found}, this build reads {VERSION}; start from rest instead")]
    Version {
        /// Version given.
        found: u32,
    },
    /// Of another field, or of an engine that saves other things.
    #[error(
        "saved state is of another field or configuration ({found:?} cells, this engine has {expected:?}); start from rest instead"
    )]
    Shape {
        /// Cells along x and y here.
        expected: [u32; 2],
        /// Cells along x and y there.
        found: [u32; 2],
    },
    /// Damaged.
    #[error(
        "saved state is damaged: its checksum is {found:#010x} and should be {expected:#010x}; start from rest instead"
    )]
    Damaged {
        /// Checksum it carries.
        expected: u32,
        /// Checksum it has.
        found: u32,
    },
}

/// What a state must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nx: u32,
    pub(crate) ny: u32,
    /// Which optional parts there are.
    pub(crate) flags: u32,
    /// Bytes behind the head.
    pub(crate) body_bytes: usize,
}

impl Shape {
    pub(crate) fn bytes(&self) -> usize {
        HEAD_BYTES + self.body_bytes
    }

    /// Fills `out`, exactly [`Shape::bytes`] long; `body` writes what is behind the head.
    pub(crate) fn seal(&self, out: &mut [u8], body: impl FnOnce(&mut Writer<'_>)) {
        assert_eq!(out.len(), self.bytes(), "a buffer for exactly one saved state");
        let mut writer = Writer(&mut out[HEAD_BYTES..]);
        body(&mut writer);
        assert!(writer.0.is_empty(), "a saved state is written whole");
        let crc = crc32fast::hash(&out[HEAD_BYTES..]);
        let mut head = Writer(&mut out[..HEAD_BYTES]);
        head.put(&MAGIC);
        for word in [VERSION, self.nx, self.ny, self.flags] {
            head.put(&word.to_le_bytes());
        }
        head.u64(self.body_bytes as u64);
        head.put(&crc.to_le_bytes());
        head.put(&[0; 4]);
    }

    /// The body of a state of this shape.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8]) -> Result<Reader<'a>, RestoreError> {
        let expected = self.bytes();
        let mut head = Reader(bytes.get(..HEAD_BYTES).unwrap_or_default());
        if head.0.is_empty() {
            return Err(RestoreError::Length { expected, found: bytes.len() });
        }
        if head.take(8) != MAGIC {
            return Err(RestoreError::Magic);
        }
        let [version, nx, ny, flags] = [head.u32(), head.u32(), head.u32(), head.u32()];
        if version != VERSION {
            return Err(RestoreError::Version { found: version });
        }
        if [nx, ny, flags] != [self.nx, self.ny, self.flags] {
            return Err(RestoreError::Shape { expected: [self.nx, self.ny], found: [nx, ny] });
        }
        if bytes.len() != expected || head.u64() != self.body_bytes as u64 {
            return Err(RestoreError::Length { expected, found: bytes.len() });
        }
        let (expected, body) = (head.u32(), &bytes[HEAD_BYTES..]);
        let found = crc32fast::hash(body);
        if found != expected {
            return Err(RestoreError::Damaged { expected, found });
        }
        Ok(Reader(body))
    }
}

/// Writes front to back.
pub(crate) struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    pub(crate) fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.put(&value.to_le_bytes());
    }

    pub(crate) fn field(&mut self, field: &[f32]) {
        self.put(bytemuck::cast_slice(field));
    }

    fn put(&mut self, bytes: &[u8]) {
        let (here, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        here.copy_from_slice(bytes);
        self.0 = rest;
    }
}

/// Reads front to back what was checked to be long enough.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.array())
    }

    pub(crate) fn field(&mut self, field: &mut [f32]) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(field);
        bytes.copy_from_slice(self.take(bytes.len()));
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N));
        bytes
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (here, rest) = self.0.split_at(count);
        self.0 = rest;
        here
    }
}

const _: () = assert!(cfg!(target_endian = "little"), "fields are saved as they lie in memory");
