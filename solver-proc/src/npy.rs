//! Arrays in NumPy's `.npy` files: little-endian `f4` and `f8`, C order, any rank; nothing else.
//!
//! Layout: magic, version, length of the header, the header (a Python dictionary as text), the cells.
//! Written files have version 1.0 and cells that begin at a multiple of 64 bytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rsw_os::replace::replace;
use thiserror::Error;

use crate::real::Real;
use crate::room::NoMemory;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read: far beyond what rank 3 needs.
const HEADER_BYTES_MAX: usize = 1 << 16;
/// Most values: those of 1024 fields of 16384 x 16384 cells.
const VALUES_MAX: usize = 1 << 38;

/// An array as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths, slowest axis first.
    pub shape: Vec<usize>,
    /// Values, the last axis fastest.
    pub values: Values,
}

/// Values in their own precision.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// `<f4`.
    Single(Vec<f32>),
    /// `<f8`.
    Double(Vec<f64>),
}

/// Why a file was refused.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct NpyError {
    path: PathBuf,
    reason: Reason,
}

/// What is wrong with it.
#[derive(Debug, Error)]
enum Reason {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("there is no folder {} to write it to; make it first", .0.display())]
    NoFolder(PathBuf),
    #[error("it does not begin like a .npy file; write it with numpy.save")]
    Magic,
    #[error("its header cannot be read: {0}; write it with numpy.save")]
    Header(&'static str),
    #[error("its values are big-endian ({0}); convert them: a.astype('<f4')")]
    BigEndian(String),
    #[error("its values are {0}, not single or double precision; convert them: a.astype('<f4')")]
    Type(String),
    #[error("it is in Fortran order; convert it: numpy.ascontiguousarray(a)")]
    FortranOrder,
    #[error("it has {found} dimensions, and a field has two: rows (y), then columns (x)")]
    Rank { found: usize },
    #[error("it has no values")]
    Empty,
    #[error("it ends too early: {expected} bytes of values are announced")]
    Short { expected: usize },
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    #[error(
        "its value at {at:?} is {value}; a field has finite values: numpy.nan_to_num(a) replaces the others"
    )]
    NotFinite { at: Vec<usize>, value: f64 },
}

impl Array {
    /// Reads a file.
    ///
    /// # Errors
    /// No `.npy` file, another type than single or double precision, big-endian, Fortran order, a value
    /// that is not finite, fewer values than announced, or more than fit into memory.
    pub fn read(path: &Path) -> Result<Self, NpyError> {
        let file = File::open(path).map_err(Reason::from);
        file.and_then(|file| read(&mut BufReader::new(file)))
            .map_err(|reason| NpyError { path: path.into(), reason })
    }

    /// Reads a file that holds one field, as `([nx, ny], values)`.
    ///
    /// # Errors
    /// As [`Array::read`], or another rank than two.
    pub fn read_field(path: &Path) -> Result<([usize; 2], Values), NpyError> {
        let array = Self::read(path)?;
        match *array.shape {
            [ny, nx] => Ok(([nx, ny], array.values)),
            _ => {
                let reason = Reason::Rank { found: array.shape.len() };
                Err(NpyError { path: path.into(), reason })
            }
        }
    }
}

impl Values {
    /// The values in the precision that is wanted, rounded to nearest.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn cast<T: Real>(&self) -> Result<Vec<T>, NoMemory> {
        let mut cells = NoMemory::or_room(self.count())?;
        match self {
            Self::Single(values) => {
                cells.extend(values.iter().map(|value| T::from_f64(f64::from(*value))));
            }
            Self::Double(values) => cells.extend(values.iter().map(|value| T::from_f64(*value))),
        }
        Ok(cells)
    }

    fn count(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    /// `f32` or `f64`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Single(_) => f32::NAME,
            Self::Double(_) => f64::NAME,
        }
    }
}

/// Looks whether a file can have its place, before work is done that it is to hold.
///
/// # Errors
/// Its folder is missing.
pub fn check_folder(path: &Path) -> Result<(), NpyError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => {
            Err(NpyError { path: path.into(), reason: Reason::NoFolder(folder.into()) })
        }
    }
}

/// Writes a field of `nx` columns. What was in the file stays until all of it is written: it may be where the field began.
///
/// # Errors
/// The file cannot be written.
pub fn write_field<T: Real>(path: &Path, nx: usize, cells: &[T]) -> Result<(), NpyError> {
    let descr = format!("<f{}", size_of::<T>());
    let shape = (cells.len() / nx, nx);
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape:?}, }}");
    // Ten bytes of head and a line feed; cells on a multiple of 64.
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let write = |file: &mut File| -> io::Result<()> {
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        file.write_all(&[1, 0])?;
        file.write_all(&(header.len() as u16).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.write_all(bytemuck::cast_slice(cells))?;
        file.flush()
    };
    replace(path, write).map_err(|error| NpyError { path: path.into(), reason: error.into() })
}

const _: () = assert!(cfg!(target_endian = "little"), "values are stored as they lie in memory");

fn read(input: &mut impl Read) -> Result<Array, Reason> {
    let mut head = [0; 8];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
        Err(_) => return Err(Reason::Magic),
        Ok(()) if head[..6] != *MAGIC => return Err(Reason::Magic),
        Ok(()) => {}
    }
    let bytes = match head[6] {
        1 => usize::from(u16::from_le_bytes(take(input)?)),
        2 | 3 => u32::from_le_bytes(take(input)?) as usize,
        _ => return Err(Reason::Header("its version is unknown")),
    };
    if bytes > HEADER_BYTES_MAX {
        return Err(Reason::Header("it is too long"));
    }
    let mut text = vec![0; bytes];
    whole(input, &mut text)?;
    let text = String::from_utf8(text).map_err(|_| Reason::Header("it is no text"))?;
    let descr = value(&text, "'descr':")?.trim_matches(['\'', '"']).to_owned();
    if value(&text, "'fortran_order':")? != "False" {
        return Err(Reason::FortranOrder);
    }
    let shape = shape(&text)?;
    let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
    let count =
        count.filter(|count| *count <= VALUES_MAX).ok_or(Reason::Header("it is too large"))?;
    if count == 0 {
        return Err(Reason::Empty);
    }
    let values = match descr.as_str() {
        "<f4" => Values::Single(values(input, count)?),
        "<f8" => Values::Double(values(input, count)?),
        other if other.starts_with('>') => return Err(Reason::BigEndian(descr)),
        _ => return Err(Reason::Type(descr)),
    };
    let broken = match &values {
        Values::Single(values) => {
            values.iter().position(|v| !v.is_finite()).map(|i| (i, f64::from(values[i])))
        }
        Values::Double(values) => {
            values.iter().position(|v| !v.is_finite()).map(|i| (i, values[i]))
        }
    };
    match broken {
        Some((i, value)) => Err(Reason::NotFinite { at: place(i, &shape), value }),
        None => Ok(Array { shape, values }),
    }
}

fn take<const N: usize>(input: &mut impl Read) -> Result<[u8; N], Reason> {
    let mut bytes = [0; N];
    whole(input, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` with what follows of the header.
fn whole(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), Reason> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::Header("the file ends within it"),
        _ => Reason::Io(error),
    })
}

/// Grows with what is really there: a header may announce anything.
fn values<T: Real>(input: &mut impl Read, count: usize) -> Result<Vec<T>, Reason> {
    const BLOCK: usize = 1 << 16;
    let mut values: Vec<T> = Vec::new();
    while values.len() < count {
        let from = values.len();
        let to = count.min(from + BLOCK);
        if to > values.capacity() {
            // Twice as much as there is, and never more than there will be.
            let room = count.min(to.max(2 * from)) - from;
            let bytes = count * size_of::<T>();
            values.try_reserve_exact(room).map_err(|_| NoMemory { bytes })?;
        }
        values.resize(to, T::default());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values[from..]);
        input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Reason::Short { expected: count * size_of::<T>() },
            _ => Reason::Io(error),
        })?;
    }
    Ok(values)
}

/// What stands behind a key, up to the next comma.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, Reason> {
    let (_, rest) = header.split_once(key).ok_or(Reason::Header("a key is missing"))?;
    Ok(rest.split([',', '}']).next().unwrap_or_default().trim())
}

fn shape(header: &str) -> Result<Vec<usize>, Reason> {
    let bad = || Reason::Header("its shape is no tuple of lengths");
    let (_, rest) = header.split_once("'shape':").ok_or_else(bad)?;
    let (inside, _) =
        rest.trim_start().strip_prefix('(').ok_or_else(bad)?.split_once(')').ok_or_else(bad)?;
    let sides = inside.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.map(|side| side.parse().map_err(|_| bad())).collect()
}

/// Index `i` of a flat array, axis by axis.
fn place(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (place, side) in at.iter_mut().zip(shape).rev() {
        *place = i % side;
        i /= side;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, order: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = [&MAGIC[..], &[1, 0], &(header.len() as u16).to_le_bytes()].concat();
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn refused(bytes: &[u8]) -> String {
        read(&mut &bytes[..]).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_field(&path, 3, &[1.5f32, -2.0, 0.0, 4.0, 5.0, 6.0]).unwrap();
        let (size, values) = Array::read_field(&path).unwrap();
        assert_eq!((size, values.type_name()), ([3, 2], "f32"));
        assert_eq!(values.cast::<f64>().unwrap(), [1.5, -2.0, 0.0, 4.0, 5.0, 6.0]);
        assert_eq!(std::fs::read(&path).unwrap().len(), 128 + 24);
        write_field(&path, 1, &[0.1f64]).unwrap();
        assert_eq!(Array::read(&path).unwrap().values, Values::Double(vec![0.1]));
    }

    #[test]
    fn what_is_no_field_is_refused_by_name() {
        let four = 1.0f32.to_le_bytes();
        assert!(refused(b"hello").contains("does not begin like a .npy file"));
        let cut = &file("<f4", "False", "(1, 1)", &four)[..40];
        assert!(refused(cut).contains("the file ends within it"));
        assert!(refused(&file(">f4", "False", "(1, 1)", &four)).contains("big-endian (>f4)"));
        assert!(refused(&file("<i8", "False", "(1, 1)", &four)).contains("values are <i8"));
        assert!(refused(&file("<f4", "True", "(1, 1)", &four)).contains("Fortran order"));
        assert!(refused(&file("<f4", "False", "(2, 1)", &four)).contains("ends too early"));
        assert!(refused(&file("<f4", "False", "(0, 1)", &four)).contains("no values"));
        assert!(refused(&file("<f4", "False", "5", &four)).contains("shape"));
        assert!(
            refused(&file("<f4", "False", "(99999999999, 99999999)", &four)).contains("too large")
        );
        let mut not_finite = four.to_vec();
        not_finite.extend(f32::NAN.to_le_bytes());
        let told = refused(&file("<f4", "False", "(2, 1)", &not_finite));
        assert!(told.contains("[1, 0] is NaN"), "{told}");
        let folder = tempfile::tempdir().unwrap();
        let told = Array::read(folder.path()).unwrap_err().to_string();
        assert!(told.contains("directory"), "{told}");
        let path = folder.path().join("three.npy");
        std::fs::write(&path, file("<f4", "False", "(1, 1, 1)", &four)).unwrap();
        assert_eq!(Array::read(&path).unwrap().shape, [1, 1, 1]);
        let told = Array::read_field(&path).unwrap_err().to_string();
        assert!(told.contains("three.npy: it has 3 dimensions"), "{told}");
    }
}
