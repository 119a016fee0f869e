// SPDX-License-Identifier: GPL-2.0
//! Virtual clocks: each controller has its own, which starts anywhere and drifts.

/// Longer than any run: almost three hours, so that nothing overflows.
const FAR_NS: u64 = 10_000_000_000_000;

/// A time that no run gets to.
const NEVER_NS: u64 = u64::MAX / 2;

/// One controller's CLOCK_BOOTTIME as a function of the appliance's true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock {
    /// True time at which this clock showed `base_ns`.
    since_ns: u64,
    base_ns: u64,
    /// Parts per million by which it runs fast (or slow, if negative).
    drift_ppm: i32,
}

impl Clock {
    /// A clock that shows `base_ns` at the true time `since_ns`.
    pub fn new(since_ns: u64, base_ns: u64, drift_ppm: i32) -> Self {
        Clock {
            since_ns,
            base_ns,
            drift_ppm,
        }
    }

    /// What the clock shows at the true time `true_ns` (not before `since_ns`).
    #[inline]
    pub fn show(&self, true_ns: u64) -> u64 {
        let gone = true_ns.saturating_sub(self.since_ns) as i64;
        let drifted = gone + gone * i64::from(self.drift_ppm) / 1_000_000;
        self.base_ns + drifted as u64
    }

    /// The first true time at which the clock shows `local_ns` or later.
    #[inline]
    pub fn when(&self, local_ns: u64) -> u64 {
        let ahead = local_ns.saturating_sub(self.base_ns);
        if ahead > FAR_NS {
            return NEVER_NS;
        }
        let rate = (1_000_000 + i64::from(self.drift_ppm)) as u64;
        let mut true_ns = self.since_ns.saturating_add(ahead * 1_000_000 / rate);
        while self.show(true_ns) < local_ns {
            true_ns += 1;
        }
        true_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_the_inverse_of_show() {
        for drift in [-500, 0, 200] {
            let c = Clock::new(1_000, 77, drift);
            for local in [77u64, 78, 1_000_000, 5_000_000_001] {
                let t = c.when(local);
                assert!(c.show(t) >= local);
                assert!(t == 1_000 || c.show(t - 1) < local, "{drift} {local}");
            }
        }
    }
}
