//! What an agent remembers: for each agent of the swarm, the CI of the last so many ticks.

/// Bounded history, keyed by agent and tick. A tick without a sample is a hole, which is not zero.
///
/// Memory: at most `agents_max * window_ticks` samples of 16 bytes, taken when an agent first appears.
#[derive(Debug, Clone)]
pub struct Window {
    window_ticks: usize,
    /// Place `id - 1`; empty until the agent's first sample.
    series: Vec<Vec<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// 0: never written (ticks count from 1).
    tick: u64,
    ci: f64,
}

impl Window {
    /// Room for agents 1 to `agents_max`, and `window_ticks` ticks (at least 1) of each.
    pub fn new(agents_max: u32, window_ticks: u32) -> Self {
        Self {
            window_ticks: window_ticks.max(1) as usize,
            series: vec![Vec::new(); agents_max as usize],
        }
    }

    /// Remembers a sample; false if it has no place (agent 0 or beyond the last, tick 0).
    ///
    /// Arrival decides: a later value for the same tick replaces the earlier one, because a restarted kernel
    /// may run ticks again. A value that is not finite makes a hole.
    pub fn push(&mut self, tick: u64, agent_id: u32, ci: f64) -> bool {
        let Some(place) = (agent_id as usize).checked_sub(1) else { return false };
        let Some(series) = self.series.get_mut(place).filter(|_| tick > 0) else { return false };
        if series.is_empty() {
            series.resize(self.window_ticks, Sample { tick: 0, ci: f64::NAN });
        }
        let slot = (tick % self.window_ticks as u64) as usize;
        series[slot] = Sample { tick, ci };
        true
    }

    /// The sample of one agent at one tick, if it is remembered and finite.
    pub fn get(&self, tick: u64, agent_id: u32) -> Option<f64> {
        let series = self.series.get((agent_id as usize).checked_sub(1)?)?;
        let sample = series.get((tick % self.window_ticks as u64) as usize)?;
        (sample.tick == tick && tick > 0 && sample.ci.is_finite()).then_some(sample.ci)
    }

    /// Agents that have ever had a sample, in the order of their ids.
    pub fn agents(&self) -> impl Iterator<Item = u32> {
        (1u32..).zip(&self.series).filter(|(_, series)| !series.is_empty()).map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_not_zero_and_arrival_decides() {
        let mut window = Window::new(2, 4);
        assert!(window.push(5, 1, 1.5));
        assert!(window.push(3, 1, 1.25));
        assert_eq!(window.get(5, 1), Some(1.5));
        assert_eq!(window.get(4, 1), None);
        assert_eq!(window.get(5, 2), None);
        window.push(5, 1, 2.5);
        assert_eq!(window.get(5, 1), Some(2.5));
        window.push(5, 1, f64::NAN);
        assert_eq!(window.get(5, 1), None);
    }

    #[test]
    fn old_ticks_leave_and_strangers_find_no_place() {
        let mut window = Window::new(2, 4);
        window.push(1, 1, 1.0);
        window.push(5, 1, 5.0);
        assert_eq!(window.get(1, 1), None);
        assert!(!window.push(1, 0, 1.0));
        assert!(!window.push(1, 3, 1.0));
        assert!(!window.push(0, 1, 1.0));
        assert_eq!(window.agents().collect::<Vec<_>>(), [1]);
        assert_eq!(window.get(0, 2), None);
    }
}
