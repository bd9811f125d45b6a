//! Fields: copied out of the plane, or borrowed from the gateway.

use core::ffi::c_char;
use std::sync::{Arc, Mutex};

use rsw_loans::{FieldLoan, FieldSubscriber, ReceiveError, ServiceError};
use rsw_plane::{FieldReader, FrameError, FrameInfo};

use crate::abi::{self, Growing, abi};
use crate::handle::{self, Object};
use crate::link::Link;
use crate::status::{
    Answer, Error, RSW_E_BUSY, RSW_E_LIMIT, RSW_E_NOT_FOUND, RSW_E_PROTOCOL, RSW_E_SYSTEM,
    RSW_E_UNSUPPORTED, RSW_EMPTY, RSW_OK, call,
};
use crate::swarm::{Swarm, enter, rsw_swarm};

/// A subscription to the loans of one field. One thread at a time.
pub struct rsw_field {
    _opaque: [u8; 0],
}

/// A borrowed frame: it neither changes nor goes away before its release. One thread at a time.
pub struct rsw_loan {
    _opaque: [u8; 0],
}

/// Cells are IEEE single precision.
pub const RSW_DTYPE_F32: u32 = 1;
/// Opaque bytes: the kernel's checkpoint, never lent.
pub const RSW_DTYPE_BYTES: u32 = 2;

/// What a field is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_field_info {
    /// sizeof(struct rsw_field_info)
    pub struct_size: u32,
    /// By this number it is copied.
    pub field: u32,
    /// RSW_DTYPE_*.
    pub dtype: u32,
    /// Cells along x, the fast axis.
    pub nx: u32,
    /// Cells along y.
    pub ny: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes of a full frame.
    pub size_bytes: u64,
    /// Number of the latest complete frame; 0 before the first.
    pub latest: u64,
    /// Unique name.
    pub name: [c_char; 32],
    /// Unit of a cell.
    pub unit: [c_char; 16],
}
abi!(rsw_field_info: 88 {
    struct_size: 0,
    field: 4,
    dtype: 8,
    nx: 12,
    ny: 16,
    reserved: 20,
    size_bytes: 24,
    latest: 32,
    name: 40,
    unit: 72,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_field_info {}

/// A frame, copied or borrowed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_frame {
    /// sizeof(struct rsw_frame)
    pub struct_size: u32,
    /// Cells along x, the fast axis.
    pub nx: u32,
    /// Cells along y.
    pub ny: u32,
    /// Smallest cell.
    pub min: f32,
    /// Largest cell.
    pub max: f32,
    /// Zero.
    pub reserved: u32,
    /// The cells, row by row. Of a loan: valid until its release, not to be written. Of a copy: the caller's buffer.
    pub data: *const f32,
    /// Bytes of data.
    pub size_bytes: u64,
    /// Generation of the plane that the frame comes from.
    pub generation: u64,
    /// Number of the frame within its field and generation, from 1.
    pub frame: u64,
    /// The tick that made it.
    pub tick: u64,
    /// Field time of that tick, nanoseconds.
    pub t_ns: i64,
    /// Frames of this subscription that gave way to newer ones before they were taken; 0 of a copy.
    pub missed: u64,
}
abi!(rsw_frame: 80 {
    struct_size: 0,
    nx: 4,
    ny: 8,
    min: 12,
    max: 16,
    reserved: 20,
    data: 24,
    size_bytes: 32,
    generation: 40,
    frame: 48,
    tick: 56,
    t_ns: 64,
    missed: 72,
});
// SAFETY: it begins with `struct_size`; numbers and pointers take any bytes.
unsafe impl Growing for rsw_frame {}

/// How many fields the plane has. One thread at a time; never blocks; not for signal handlers; some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_count(swarm: *mut rsw_swarm, count: *mut u32) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| Ok(swarm.plane().fields().len() as u32))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("count", count, found) }?;
        Ok(RSW_OK)
    })
}

/// What the field at place `index` (from 0) is. One thread at a time; never blocks; not for signal handlers; some hundred
/// nanoseconds. RSW_E_NOT_FOUND beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_describe(
    swarm: *mut rsw_swarm,
    index: u32,
    info: *mut rsw_field_info,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| {
            let number = swarm.number(index as usize);
            let fields = swarm.plane().fields();
            let field = fields.get(index as usize).ok_or_else(|| {
                let words = format!("there are {} fields, none at {index}", fields.len());
                Error::new(RSW_E_NOT_FOUND, words)
            })?;
            Ok(info_of(field, number))
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(RSW_OK)
    })
}

/// The field with this name; info->field is its number, good as those of rsw_board_find. One thread at a time; never
/// blocks; not for signal handlers; some hundred nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_find(
    swarm: *mut rsw_swarm,
    name: *const c_char,
    info: *mut rsw_field_info,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let name = unsafe { abi::name("name", name) }?;
        let found = enter(swarm, |swarm| {
            let index = find(swarm, &name)?;
            let number = swarm.number(index);
            Ok(info_of(&swarm.plane().fields()[index], number))
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(RSW_OK)
    })
}

/// Copies the latest frame into `buffer`, complete; it needs size_bytes of rsw_field_info (RSW_E_BUFFER if there are
/// fewer), with any alignment for opaque bytes. RSW_EMPTY before the first frame. After an error the buffer's content is
/// unspecified. `frame` (NULL: not wanted) says what it is.
///
/// One thread at a time; never blocks, bounded tries (RSW_E_BUSY if the writer outran all); not for signal handlers; no
/// system call; as fast as memory is copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_copy(
    swarm: *mut rsw_swarm,
    field: u32,
    buffer: *mut core::ffi::c_void,
    buffer_bytes: usize,
    frame: *mut rsw_frame,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let out = unsafe { abi::array_mut("buffer", buffer.cast::<u8>(), buffer_bytes) }?;
        let copied = enter(swarm, |swarm| copy(swarm, field, out))?;
        let Some(mut copied) = copied else { return Ok(RSW_EMPTY) };
        copied.data = buffer.cast_const().cast();
        if !frame.is_null() {
            // SAFETY: this function's contract.
            unsafe { abi::write("frame", frame, copied) }?;
        }
        Ok(RSW_OK)
    })
}

/// Subscribes to the loans of a field: the gateway lends each frame once, and every agent borrows the same memory.
/// RSW_E_UNSUPPORTED if this agent gets no loans, or the field is not lent.
///
/// One thread at a time; does not wait for other processes; not for signal handlers. *field lives until rsw_field_close.
/// Cost: a millisecond or two, the first time: files are made and mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_open(
    swarm: *mut rsw_swarm,
    name: *const c_char,
    field: *mut *mut rsw_field,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("field", field, core::ptr::null_mut()) }?;
        // SAFETY: this function's contract.
        let name = unsafe { abi::name("name", name) }?;
        let link = enter(swarm, |swarm| {
            find(swarm, &name)?;
            Ok(swarm.link.clone())
        })?;
        let mut subscription = Field { link, name, port: None, missed_before: 0 };
        subscription.port()?;
        let handle = handle::open(subscription)?;
        // SAFETY: this function's contract.
        unsafe { abi::put("field", field, handle) }?;
        Ok(RSW_OK)
    })
}

/// Borrows the newest frame that waits, and gives older ones up. RSW_EMPTY if none came since the last one; right after
/// rsw_field_open it may take the gateway up to half a second to connect. At most four loans of a subscription at once
/// (RSW_E_LIMIT; three while several frames wait). After a restart of the gateway it subscribes anew by itself.
///
/// One thread at a time; never blocks; not for signal handlers; no system call and no copy: about a microsecond. *loan
/// lives until rsw_loan_release, whatever becomes of subscription, connection, gateway and kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_loan_latest(
    field: *mut rsw_field,
    loan: *mut *mut rsw_loan,
    frame: *mut rsw_frame,
) -> i32 {
    // SAFETY: this function's contract.
    call(|| unsafe { lend(field, loan, frame, FieldSubscriber::receive_latest) })
}

/// As rsw_field_loan_latest, but the oldest frame that waits (at most two do).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_loan_next(
    field: *mut rsw_field,
    loan: *mut *mut rsw_loan,
    frame: *mut rsw_frame,
) -> i32 {
    // SAFETY: this function's contract.
    call(|| unsafe { lend(field, loan, frame, FieldSubscriber::receive) })
}

/// Gives a loan back; its data must not be touched any more. RSW_E_HANDLE if that was done already. One thread at a
/// time; never blocks; not for signal handlers; less than a microsecond.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_loan_release(loan: *mut rsw_loan) -> i32 {
    call(|| handle::close::<Loan>(loan).map(|_| RSW_OK))
}

/// Ends a subscription; its loans stay until they are released. One thread at a time; never blocks; not for signal
/// handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_field_close(field: *mut rsw_field) -> i32 {
    call(|| handle::close::<Field>(field).map(|_| RSW_OK))
}

/// What is behind an `rsw_field`.
struct Field {
    link: Arc<Link>,
    name: String,
    /// Of that incarnation of the gateway.
    port: Option<(u64, FieldSubscriber)>,
    /// Missed in earlier incarnations.
    missed_before: u64,
}

/// What is behind an `rsw_loan`.
pub(crate) struct Loan(SharedLoan);

/// A loan that goes back with the last of those who hold it; the lock is what lets any thread be that one.
pub(crate) type SharedLoan = Arc<Mutex<FieldLoan>>;

impl Object for Field {
    type C = rsw_field;
    const KIND: u64 = 4;
    const WHAT: &'static str = "field";
}

impl Object for Loan {
    type C = rsw_loan;
    const KIND: u64 = 5;
    const WHAT: &'static str = "loan";
}

impl Loan {
    /// The loan, for somebody who keeps it beyond this handle.
    pub(crate) fn shared(&self) -> SharedLoan {
        Arc::clone(&self.0)
    }
}

impl Field {
    /// The subscription with the gateway that is there now.
    fn port(&mut self) -> Answer<&mut FieldSubscriber> {
        let incarnation = self.link.incarnation();
        if self.port.as_ref().is_none_or(|port| port.0 != incarnation) {
            self.missed_before = self.missed();
            self.port = None;
            let name = &self.name;
            let made = self.link.with_loans(|domain, incarnation| {
                Ok((incarnation, domain.subscribe_field(name).map_err(service_error)?))
            })?;
            self.port = Some(made);
        }
        let gone = || Error::new(RSW_E_SYSTEM, "the subscription is gone; try again");
        self.port.as_mut().map(|port| &mut port.1).ok_or_else(gone)
    }

    fn missed(&self) -> u64 {
        self.missed_before + self.port.as_ref().map_or(0, |port| port.1.missed())
    }
}

/// Receives by `receive`, and puts the loan behind a handle.
///
/// # Safety
/// `loan` is NULL or can be written, `frame` is NULL or a struct with its size.
unsafe fn lend(
    field: *mut rsw_field,
    loan: *mut *mut rsw_loan,
    frame: *mut rsw_frame,
    receive: impl FnOnce(&mut FieldSubscriber) -> Result<Option<FieldLoan>, ReceiveError>,
) -> Answer {
    // SAFETY: this function's contract.
    unsafe { abi::put("loan", loan, core::ptr::null_mut()) }?;
    let received = handle::enter::<Field, _>(field, |field| {
        let before = field.missed();
        let received = receive(field.port()?).map_err(receive_error);
        let missed = field.missed();
        field.link.book_missed(missed.saturating_sub(before));
        Ok(received?.map(|loan| (loan, missed)))
    })?;
    let Some((received, missed)) = received else { return Ok(RSW_EMPTY) };
    let info = received.info();
    let cells = received.data();
    if cells.len() as u64 != u64::from(info.nx) * u64::from(info.ny) {
        let words = format!("a loan of {} cells claims {} x {}", cells.len(), info.nx, info.ny);
        return Err(Error::new(RSW_E_PROTOCOL, words));
    }
    let found = rsw_frame {
        struct_size: 0,
        nx: info.nx,
        ny: info.ny,
        min: info.min,
        max: info.max,
        reserved: 0,
        data: cells.as_ptr(),
        size_bytes: size_of_val(cells) as u64,
        generation: info.generation,
        frame: info.frame,
        tick: info.tick,
        t_ns: info.t_ns,
        missed,
    };
    // SAFETY: this function's contract.
    unsafe { abi::write("frame", frame, found) }?;
    let handle = handle::open(Loan(Arc::new(Mutex::new(received))))?;
    // SAFETY: this function's contract.
    unsafe { abi::put("loan", loan, handle) }?;
    Ok(RSW_OK)
}

fn find(swarm: &mut Swarm, name: &str) -> Answer<usize> {
    swarm.plane().fields().iter().position(|field| field.name() == name).ok_or_else(|| {
        let words = format!("there is no field \"{name}\"; rsw_field_describe lists what there is");
        Error::new(RSW_E_NOT_FOUND, words)
    })
}

/// Copies the latest frame; `None` before the first.
fn copy(swarm: &mut Swarm, number: u32, out: &mut [u8]) -> Answer<Option<rsw_frame>> {
    let index = swarm.index(number)?;
    let plane = swarm.plane();
    let field = plane.fields().get(index).ok_or_else(|| {
        let words = format!("there are {} fields, none at {index}", plane.fields().len());
        Error::new(RSW_E_NOT_FOUND, words)
    })?;
    abi::room("buffer", out.len(), field.data_bytes())?;
    let FrameInfo { frame, tick, t_ns, min, max, len_bytes } = match field.copy_latest_to(out) {
        Ok(info) => info,
        Err(FrameError::None) => return Ok(None),
        Err(FrameError::Busy) => {
            return Err(Error::new(RSW_E_BUSY, FrameError::Busy.to_string()));
        }
    };
    Ok(Some(rsw_frame {
        struct_size: 0,
        nx: field.nx(),
        ny: field.ny(),
        min,
        max,
        reserved: 0,
        data: core::ptr::null(),
        size_bytes: len_bytes as u64,
        generation: plane.generation(),
        frame,
        tick,
        t_ns,
        missed: 0,
    }))
}

fn info_of(field: &FieldReader, number: u32) -> rsw_field_info {
    rsw_field_info {
        struct_size: 0,
        field: number,
        dtype: if field.is_f32() { RSW_DTYPE_F32 } else { RSW_DTYPE_BYTES },
        nx: field.nx(),
        ny: field.ny(),
        reserved: 0,
        size_bytes: field.data_bytes() as u64,
        latest: field.latest(),
        name: abi::pack(&field.name()),
        unit: abi::pack(&field.unit()),
    }
}

/// Which of our statuses a failed subscription is.
pub(crate) fn service_error(error: ServiceError) -> Error {
    let status = match error {
        ServiceError::Absent { .. } => RSW_E_UNSUPPORTED,
        ServiceError::Subscriber { .. } => RSW_E_LIMIT,
        _ => RSW_E_SYSTEM,
    };
    Error::new(status, error.to_string())
}

/// Which of our statuses a failed receive is.
pub(crate) fn receive_error(error: ReceiveError) -> Error {
    let status = match error {
        ReceiveError::HoldsTooMany { .. } => RSW_E_LIMIT,
        ReceiveError::Connection { .. } => RSW_E_SYSTEM,
    };
    Error::new(status, error.to_string())
}
