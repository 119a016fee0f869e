// SPDX-License-Identifier: GPL-2.0
//! What happened, counted: a simulation in which something never happens says
//! nothing about it, so tests ask that everything did.

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of what happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Adds the counts of another run.
            pub fn add(&mut self, other: &Stats) {
                $(self.$name += other.$name;)*
            }

            /// The counts by name.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

stats! {
    /// Events taken.
    events,
    /// Writes that were acknowledged.
    writes,
    /// Reads that were answered.
    reads,
    /// FLUSHes that completed.
    flushes,
    /// Discards and write-zeroes that completed.
    passes,
    /// Requests that failed.
    failures,
    /// Blocks read from the log.
    from_log,
    /// Blocks read from adopted slots.
    from_adopted,
    /// Blocks read from the disk.
    from_disk,
    /// Posts that had to be done again.
    again,
    /// Requests that were parked.
    parked,
    /// Destage runs written.
    destaged,
    /// Destage runs with adopted blocks.
    destaged_adopted,
    /// Fences that found something else than the epoch.
    bad_fences,
    /// Times a controller became an owner that is mirrored.
    mirrored,
    /// Times a controller held.
    holding,
    /// Times a controller went solo.
    solo,
    /// Times a controller was joining.
    joining,
    /// Times a controller was degraded.
    degraded,
    /// Takeovers begun.
    taking,
    /// Controllers that died.
    crashes,
    /// Deaths and pauses while each of the controllers owned a volume.
    both_owned,
    /// Controllers that were paused.
    pauses,
    /// Links that went down.
    cuts,
    /// Losses of all power.
    power_losses,
    /// Losses of the disk's cache, with its owner.
    cache_losses,
    /// Handshakes of links.
    handshakes,
    /// Sessions that ended.
    sessions_gone,
    /// Regions scanned.
    scans,
    /// Slots whose data was looked at in a scan.
    scanned_data,
    /// Slots that turned out to hold nothing when they were first used.
    dropped,
    /// Reservations preempted.
    preempts,
    /// Preemptions that failed.
    preempts_failed,
    /// Disk commands that failed.
    disk_errors,
    /// Messages that got lost.
    messages_lost,
    /// Volumes that were closed and opened again in one life.
    reopened,
    /// Commands of people.
    commands,
    /// Times both memories were lost.
    lost_both,
    /// Discards and write-zeroes that were said to have failed, and landed later.
    late_landings,
    /// Discards and write-zeroes that the disk refused.
    refused,
    /// Reads that were laid over what the disk gave.
    laid,
    /// Machines that were stopped by a fault.
    stopped,
}
