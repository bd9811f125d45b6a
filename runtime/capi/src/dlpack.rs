//! A loan as a tensor of DLPack 1.0, for array libraries: the same memory, read-only and told so.

use core::ffi::c_void;
use std::sync::PoisonError;

use crate::abi;
use crate::field::{Loan, SharedLoan, rsw_loan};
use crate::handle;
use crate::status::{RSW_OK, call};

/// Makes a DLManagedTensorVersioned (dlpack.h, 1.0) of a loan: read-only float32 of the CPU, shape [ny, nx], rows one after the
/// other. It shares the loan with the handle: the frame is given back when both the handle is released and the tensor's
/// deleter was called, which may be done by any thread, also after rsw_close. Only the versioned struct can say that memory is
/// read-only; there is no other.
///
/// One thread at a time; never blocks; not for signal handlers; one allocation. *tensor is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_loan_dlpack(loan: *mut rsw_loan, tensor: *mut *mut c_void) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("tensor", tensor, core::ptr::null_mut()) }?;
        let made = handle::enter::<Loan, _>(loan, |loan| Ok(Tensor::new(loan.shared())))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("tensor", tensor, Box::into_raw(made).cast()) }?;
        Ok(RSW_OK)
    })
}

/// kDLCPU and kDLFloat of dlpack.h, and its flag for read-only memory.
const CPU: i32 = 1;
const FLOAT: u8 = 2;
const READ_ONLY: u64 = 1;

/// DLManagedTensorVersioned.
#[repr(C)]
struct Managed {
    version: [u32; 2],
    manager_ctx: *mut c_void,
    deleter: extern "C" fn(*mut Tensor),
    flags: u64,
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    dtype_code: u8,
    dtype_bits: u8,
    dtype_lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}
const _: () = {
    assert!(core::mem::offset_of!(Managed, deleter) == 16);
    assert!(core::mem::offset_of!(Managed, data) == 32);
    assert!(core::mem::offset_of!(Managed, dtype_code) == 52);
    assert!(core::mem::offset_of!(Managed, byte_offset) == 72);
    assert!(size_of::<Managed>() == 80);
};

/// It, and what its pointers point into.
#[repr(C)]
struct Tensor {
    managed: Managed,
    shape: [i64; 2],
    strides: [i64; 2],
    loan: SharedLoan,
}

impl Tensor {
    fn new(loan: SharedLoan) -> Box<Self> {
        let (info, data) = {
            let loan = loan.lock().unwrap_or_else(PoisonError::into_inner);
            (loan.info(), loan.data().as_ptr())
        };
        let managed = Managed {
            version: [1, 0],
            manager_ctx: core::ptr::null_mut(),
            deleter: delete,
            flags: READ_ONLY,
            data: data.cast_mut().cast(),
            device_type: CPU,
            device_id: 0,
            ndim: 2,
            dtype_code: FLOAT,
            dtype_bits: 32,
            dtype_lanes: 1,
            shape: core::ptr::null(),
            strides: core::ptr::null(),
            byte_offset: 0,
        };
        let (nx, ny) = (i64::from(info.nx), i64::from(info.ny));
        let mut tensor = Box::new(Self { managed, shape: [ny, nx], strides: [nx, 1], loan });
        tensor.managed.shape = tensor.shape.as_ptr();
        tensor.managed.strides = tensor.strides.as_ptr();
        tensor
    }
}

extern "C" fn delete(tensor: *mut Tensor) {
    let status = call(|| {
        if !tensor.is_null() {
            // SAFETY: DLPack's contract: what `Tensor::new` made, once.
            let Tensor { loan, .. } = *unsafe { Box::from_raw(tensor) };
            drop(loan);
        }
        Ok(RSW_OK)
    });
    // There is nobody to tell.
    debug_assert_eq!(status, RSW_OK);
}
