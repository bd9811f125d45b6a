//! `[field]`: the medium, its edges, its nonlinear term, and where it is computed.

use serde::{Deserialize, Serialize};

use super::Auto;

/// `[field]`: the medium.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldSection {
    /// Cells along x and y.
    pub size: [u32; 2],
    /// Cell spacing dx, dy in length units.
    pub spacing: [f64; 2],
    /// c in length units per time unit.
    pub wave_speed: f64,
    /// Time step in time units, or `"auto"`: Courant number 0.7 of the 2-D form.
    pub dt: Auto<f64>,
    /// gamma in 1 per time unit.
    pub damping: f64,
    /// What the edges do.
    pub boundary: Boundary,
    /// Width of the sponge in cells, for `boundary = "sponge"`.
    pub sponge_width: u32,
    /// Peak extra damping of the sponge in 1 per time unit, for `boundary = "sponge"`.
    pub sponge_damping: f64,
    /// Nonlinear term f(u) of `u_tt = c^2 lap u - gamma u_t + f(u)`.
    pub feedback: Feedback,
    /// k of the nonlinear term in 1 per time unit squared.
    pub feedback_strength: f64,
    /// Where `feedback = "relu"` begins, in units of u.
    pub feedback_threshold: f64,
    /// For `relu`, the most that counts of what is above the threshold; for `phi4`, the largest |u| that
    /// the time step is checked for. In units of u.
    pub feedback_limit: f64,
    /// Where the solver and the metrics run; bands are always the CPU's.
    pub backend: Backend,
    /// Fields that are published as frames and loans: any of `wave`, `ci`, `coherence`, `gain`, `dwell`.
    pub publish: Vec<String>,
}

impl Default for FieldSection {
    fn default() -> Self {
        Self {
            size: [256, 256],
            spacing: [1.0, 1.0],
            wave_speed: 1.0,
            dt: Auto::Auto,
            damping: 0.01,
            boundary: Boundary::Absorbing,
            sponge_width: 20,
            sponge_damping: 0.5,
            feedback: Feedback::None,
            feedback_strength: 1.0,
            feedback_threshold: 0.5,
            feedback_limit: 2.0,
            backend: Backend::Auto,
            publish: vec!["ci".into(), "wave".into()],
        }
    }
}

/// What the edges do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// The edges keep what they have: 0, from rest.
    Dirichlet,
    /// Mirror.
    Neumann,
    /// Wrap around.
    Periodic,
    /// First-order Mur.
    Absorbing,
    /// Second-order Engquist-Majda.
    EngquistMajda,
    /// A damping layer inside a Dirichlet edge.
    Sponge,
}

/// Nonlinear term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feedback {
    /// Linear.
    None,
    /// `-k sin u`.
    SineGordon,
    /// `k (u - u^3)`.
    Phi4,
    /// `k min(max(u - threshold, 0), limit)`.
    Relu,
}

/// Where the solver and the metrics run; bands are always the CPU's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// A GPU where there is a real one and the field is large enough to gain by it, else the CPU.
    Auto,
    /// CPU.
    Cpu,
    /// The best device that Vulkan has, one in software included; without any, the kernel does not start.
    Gpu,
}
