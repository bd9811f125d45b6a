//! The nonlinear term f(u) of `u_tt = c^2 lap u - gamma u_t + f(u) + s`, and what it does to stability.

use crate::real::Real;

/// Which f(u), with its numbers in 1 per time unit squared and in units of u.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Feedback {
    /// None: the linear wave equation.
    #[default]
    None,
    /// `-k sin u`.
    SineGordon {
        /// k.
        strength: f64,
    },
    /// `k (u - u^3)`.
    Phi4 {
        /// k.
        strength: f64,
        /// The largest |u| that the time step is checked for.
        u_max: f64,
    },
    /// `k min(max(u - threshold, 0), limit)`: growth above a threshold, saturated.
    Relu {
        /// k.
        strength: f64,
        /// Below it nothing is fed back.
        threshold: f64,
        /// The most that counts of what is above it.
        limit: f64,
    },
}

impl Feedback {
    /// The largest `-f'(u)`, which tightens the stability limit (SCIENCE.md, Scheme); never negative.
    pub fn stiffness(&self) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::SineGordon { strength } => strength.abs(),
            // -f' = k (3 u^2 - 1) rises with |u| where k is positive, and is -k at u = 0.
            Self::Phi4 { strength, u_max } => {
                (strength * (3.0 * u_max * u_max - 1.0)).max(-strength).max(0.0)
            }
            Self::Relu { strength, .. } => (-strength).max(0.0),
        }
    }

    /// The potential V(u) with `f = -V'`, zero at its minimum (sine-Gordon, phi^4) or at u = 0.
    pub fn potential(&self, u: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::SineGordon { strength } => strength * (1.0 - libm::cos(u)),
            Self::Phi4 { strength, .. } => 0.25 * strength * (u * u - 1.0).powi(2),
            Self::Relu { strength, threshold, limit } => {
                let above = (u - threshold).max(0.0);
                let bent = above.min(limit);
                -strength * (0.5 * bent * bent + limit * (above - bent))
            }
        }
    }

    /// f(u), as the start of second order needs it.
    pub fn force(&self, u: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::SineGordon { strength } => -strength * libm::sin(u),
            Self::Phi4 { strength, .. } => strength * (u - u * u * u),
            Self::Relu { strength, threshold, limit } => {
                strength * (u - threshold).max(0.0).min(limit)
            }
        }
    }
}

/// f(u) as a kernel computes it.
pub(crate) trait Law<T>: Copy + Sync {
    /// There is no f(u).
    const LINEAR: bool = false;

    /// f(u).
    fn force(self, u: T) -> T;
}

/// No f(u).
#[derive(Clone, Copy)]
pub(crate) struct Linear;

impl<T: Real> Law<T> for Linear {
    const LINEAR: bool = true;

    #[inline(always)]
    fn force(self, _: T) -> T {
        T::default()
    }
}

/// `-k sin u`.
#[derive(Clone, Copy)]
pub(crate) struct SineGordon<T>(pub(crate) T);

impl<T: Real> Law<T> for SineGordon<T> {
    #[inline(always)]
    fn force(self, u: T) -> T {
        -(self.0 * u.sine())
    }
}

/// `k (u - u^3)`.
#[derive(Clone, Copy)]
pub(crate) struct Phi4<T>(pub(crate) T);

impl<T: Real> Law<T> for Phi4<T> {
    #[inline(always)]
    fn force(self, u: T) -> T {
        self.0 * (u - u * u * u)
    }
}

/// `k min(max(u - threshold, 0), limit)`.
#[derive(Clone, Copy)]
pub(crate) struct Relu<T> {
    pub(crate) strength: T,
    pub(crate) threshold: T,
    pub(crate) limit: T,
}

impl<T: Real> Law<T> for Relu<T> {
    #[inline(always)]
    fn force(self, u: T) -> T {
        let above = u - self.threshold;
        // A NaN passes through both comparisons, so that divergence is still seen.
        let above = if above < T::default() { T::default() } else { above };
        self.strength * if above > self.limit { self.limit } else { above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f is minus the slope of V, and the largest -f' is what `stiffness` says.
    #[test]
    fn force_potential_and_stiffness_belong_together() {
        let laws = [
            Feedback::SineGordon { strength: 1.7 },
            Feedback::Phi4 { strength: 0.6, u_max: 2.0 },
            Feedback::Relu { strength: 0.9, threshold: 0.25, limit: 0.75 },
            Feedback::Relu { strength: -0.9, threshold: 0.25, limit: 0.75 },
        ];
        for law in laws {
            let mut steepest = 0.0f64;
            for k in -2000..2000 {
                let (u, h) = (f64::from(k) * 1e-3 + 5e-4, 1e-5);
                let slope = (law.potential(u + h) - law.potential(u - h)) / (2.0 * h);
                assert!((slope + law.force(u)).abs() < 1e-6, "{law:?} at {u}");
                steepest = steepest.max((law.force(u - h) - law.force(u + h)) / (2.0 * h));
            }
            assert!((steepest - law.stiffness()).abs() < 0.01, "{law:?}: {steepest}");
        }
    }

    #[test]
    fn kernels_compute_the_same_force() {
        for k in -400..400 {
            let u = f64::from(k) * 0.01;
            let near = |law: Feedback, value: f64| {
                assert!((law.force(u) - value).abs() < 1e-14, "{law:?} at {u}");
            };
            near(Feedback::SineGordon { strength: 1.5 }, SineGordon(1.5).force(u));
            near(Feedback::Phi4 { strength: 1.5, u_max: 2.0 }, Phi4(1.5).force(u));
            let (strength, threshold, limit) = (1.5, 0.3, 1.1);
            let relu = Relu { strength, threshold, limit };
            near(Feedback::Relu { strength, threshold, limit }, relu.force(u));
        }
    }
}
