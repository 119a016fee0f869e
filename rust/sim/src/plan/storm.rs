// SPDX-License-Identifier: GPL-2.0
//! Faults at any time, several at once; then everything is mended, the pair
//! must be mirrored again, and nothing may be lost.

use super::settle;
use crate::driver::Driver;

/// Runs it to the end, or to the first violation.
pub fn run(driver: &mut Driver) {
    if !settle::boot(driver) {
        return;
    }
    driver.set_clients(true);
    driver.set_faults(true);
    let until = driver.world.now_ns + driver.world.setting.scenario.storm_ns;
    driver.run(until, |_| false);
    driver.set_faults(false);
    if driver.world.violation.is_some() {
        return;
    }
    driver.mend_all();
    driver.each(|driver| {
        settle::wait_healthy_or_lost(driver, "after everything was mended")
            && settle::read_all(driver)
    });
}
