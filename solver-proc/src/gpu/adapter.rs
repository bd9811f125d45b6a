//! Which device computes, and what it allows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use pollster::block_on;
use wgpu::{
    Adapter, AdapterInfo, Backends, DeviceDescriptor, DeviceType, ErrorFilter, Instance,
    InstanceDescriptor, PollStatus, PollType, SubmissionIndex,
};

use super::error::GpuError;
use crate::grid::Grid;

/// Most bytes that a kernel is shown of a buffer: its indices have 32 bits, with room to step beyond the end.
/// Devices allow less today.
const BINDING_BYTES_MAX: u64 = 1 << 33;
/// Threads in a workgroup of each kernel; Vulkan promises half as many.
const GROUP_THREADS: u32 = 256;
/// Most buffers that a kernel is shown; Vulkan promises half as many.
const KERNEL_BUFFERS: u32 = 8;

/// Which devices will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A GPU, and nothing that computes on the CPU: our own kernels are faster there.
    Real,
    /// The best there is: a GPU, else Vulkan in software, which is there for tests.
    Any,
}

/// A device that is open. Clones are the same device.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    name: Arc<str>,
    real: bool,
    /// The first thing that went wrong and nobody was waiting for.
    fault: Arc<OnceLock<String>>,
}

impl Gpu {
    /// Opens the best device that will do and can be opened.
    ///
    /// # Errors
    /// None found, none that will do, or why the best of them cannot be opened.
    pub fn open(choice: Choice) -> Result<Self, GpuError> {
        // Vulkan alone is built; the rest is wgpu's default.
        let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
        let adapters = block_on(instance.enumerate_adapters(Backends::VULKAN));
        let infos: Vec<AdapterInfo> = adapters.iter().map(Adapter::get_info).collect();
        let mut first_error = None;
        for index in ranked(&infos, choice)? {
            match Self::on(&adapters[index], &infos[index]) {
                Ok(gpu) => return Ok(gpu),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(GpuError::NoAdapter))
    }

    fn on(adapter: &Adapter, info: &AdapterInfo) -> Result<Self, GpuError> {
        let name = name(info);
        let limits = adapter.limits();
        let threads = limits.max_compute_invocations_per_workgroup;
        let buffers = limits.max_storage_buffers_per_shader_stage;
        if threads < GROUP_THREADS || buffers < KERNEL_BUFFERS {
            let reason = format!(
                "it runs {threads} threads in a workgroup and shows {buffers} buffers to a kernel at most, \
                 and {GROUP_THREADS} and {KERNEL_BUFFERS} are needed"
            );
            return Err(GpuError::Unusable { adapter: name, reason });
        }
        let wanted = DeviceDescriptor {
            label: Some("wave"),
            // All that it has: the defaults are those of a browser, 128 MiB a level.
            required_limits: limits,
            ..DeviceDescriptor::default()
        };
        let (device, queue) = block_on(adapter.request_device(&wanted)).map_err(|error| {
            GpuError::Unusable { adapter: name.clone(), reason: error.to_string() }
        })?;
        let fault = Arc::new(OnceLock::new());
        let (on_error, on_loss) = (Arc::clone(&fault), Arc::clone(&fault));
        // Without these, wgpu panics. Only the first fault is kept: others follow from it.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = on_error.set(error.to_string());
        }));
        device.set_device_lost_callback(move |reason, text| {
            let _ = on_loss.set(format!("lost ({reason:?}) {text}"));
        });
        let real = is_real(info);
        Ok(Self { device, queue, name: name.into(), real, fault })
    }

    /// The device and its driver, as a person would name them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a GPU, and not software that speaks Vulkan.
    pub fn is_real(&self) -> bool {
        self.real
    }

    /// Refuses a field beyond the limits of the device, before any memory is taken.
    ///
    /// # Errors
    /// The limit, what it is and what is needed.
    pub fn check(&self, grid: &Grid) -> Result<(), GpuError> {
        self.check_bytes(grid, "a level", level_bytes(grid))
    }

    /// Refuses `what`, a part of what a field on `grid` takes, if its bytes are beyond the limits.
    pub(super) fn check_bytes(
        &self,
        grid: &Grid,
        what: &'static str,
        needed: u64,
    ) -> Result<(), GpuError> {
        let limits = self.device.limits();
        let binding_max = limits.max_storage_buffer_binding_size.min(BINDING_BYTES_MAX);
        let rules = [
            ("max_storage_buffer_binding_size", binding_max),
            ("max_buffer_size", limits.max_buffer_size),
        ];
        match rules.into_iter().find(|(_, most)| needed > *most) {
            None => Ok(()),
            Some((limit, most)) => {
                let (nx, ny, adapter) = (grid.nx, grid.ny, self.name.to_string());
                Err(GpuError::Limit { what, nx, ny, adapter, limit, most, needed })
            }
        }
    }

    /// Runs `make`, which takes device memory, `bytes` in all.
    pub(super) fn with_room<T>(
        &self,
        grid: &Grid,
        bytes: u64,
        make: impl FnOnce() -> T,
    ) -> Result<T, GpuError> {
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let made = make();
        match block_on(scope.pop()) {
            None => self.sound().map(|()| made),
            Some(_) => {
                let (nx, ny, adapter) = (grid.nx, grid.ny, self.name.to_string());
                Err(GpuError::Memory { adapter, nx, ny, bytes })
            }
        }
    }

    /// Waits until everything submitted is done.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        self.wait_for(None)
    }

    /// Waits until this submission is done, and all before it; without one, for every submission.
    pub(super) fn wait_for(&self, submission: Option<SubmissionIndex>) -> Result<(), GpuError> {
        let until = PollType::Wait { submission_index: submission, timeout: None };
        // wgpu panics where a device is lost while it waits; to us that is one more device that failed.
        let wait = AssertUnwindSafe(|| self.device.poll(until));
        let waited = catch_unwind(wait).unwrap_or_else(|_| {
            let _ = self.fault.set("it was lost".into());
            Ok(PollStatus::QueueEmpty)
        });
        self.sound()?;
        waited.map(|_| ()).map_err(|error| self.failed(error.to_string()))
    }

    /// An error if anything has gone wrong.
    pub(super) fn sound(&self) -> Result<(), GpuError> {
        match self.fault.get() {
            None => Ok(()),
            Some(fault) => Err(self.failed(fault.clone())),
        }
    }

    pub(super) fn failed(&self, reason: String) -> GpuError {
        GpuError::Failed { adapter: self.name.to_string(), reason }
    }
}

/// Bytes of one level of a field.
pub(super) fn level_bytes(grid: &Grid) -> u64 {
    (grid.cells() * size_of::<f32>()) as u64
}

fn name(info: &AdapterInfo) -> String {
    let driver = [info.driver.as_str(), info.driver_info.as_str()];
    let driver: Vec<&str> = driver.into_iter().filter(|part| !part.is_empty()).collect();
    match driver.is_empty() {
        true => info.name.clone(),
        false => format!("{} ({})", info.name, driver.join(" ")),
    }
}

fn is_real(info: &AdapterInfo) -> bool {
    info.device_type != DeviceType::Cpu
}

/// The indices of the adapters that will do, the best one first: cards before what shares the CPU's memory, software last.
fn ranked(infos: &[AdapterInfo], choice: Choice) -> Result<Vec<usize>, GpuError> {
    let rank = |info: &AdapterInfo| match info.device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    let mut indices: Vec<usize> = (0..infos.len()).collect();
    indices.sort_by_key(|index| rank(&infos[*index]));
    let best = *indices.first().ok_or(GpuError::NoAdapter)?;
    indices.retain(|index| choice == Choice::Any || is_real(&infos[*index]));
    match indices.is_empty() {
        true => Err(GpuError::Software { adapter: name(&infos[best]) }),
        false => Ok(indices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Software is taken by who asks for any device and refused by who wants a GPU; a card comes first.
    #[test]
    fn a_card_comes_first_and_software_is_no_gpu() {
        let info = |device_type, name: &str| AdapterInfo {
            name: name.into(),
            ..AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        let software = info(DeviceType::Cpu, "llvmpipe");
        let card = info(DeviceType::DiscreteGpu, "card");
        let shared = info(DeviceType::IntegratedGpu, "shared");
        assert_eq!(ranked(&[], Choice::Any), Err(GpuError::NoAdapter));
        assert_eq!(ranked(std::slice::from_ref(&software), Choice::Any), Ok(vec![0]));
        let refused = ranked(std::slice::from_ref(&software), Choice::Real).unwrap_err();
        assert!(refused.to_string().contains("llvmpipe"), "{refused}");
        let all = [software.clone(), shared.clone(), card.clone()];
        assert_eq!(ranked(&all, Choice::Any), Ok(vec![2, 1, 0]));
        assert_eq!(ranked(&all, Choice::Real), Ok(vec![2, 1]));
    }
}
