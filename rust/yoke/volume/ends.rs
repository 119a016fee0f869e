// SPDX-License-Identifier: GPL-2.0

//! The ends of I/O on the backing disk.

use super::shared::{Caller, Own, Passed, Shared};
use kernel::sync::Arc;
use yoke_core::volume::{DestageEnd, Input, PassEnd, PassId};
use yoke_sys::{
    backing::IoClient,
    bio::Bio,
    status::{BlkStatus, IoResult},
};

impl Shared {
    /// The command of something past the log is over. Context: any.
    fn pass_over(&self, pass: PassId, end: PassEnd) {
        self.with(|inner, now| inner.core.handle(Input::PassedDown { pass, end }, now));
        self.wake.set();
    }

    /// Own I/O has ended of which the control thread tells the machine. Context: any.
    fn own_over(&self, own: Own, ok: bool) {
        self.inner.lock().push_ended(own, ok);
        self.wake.set();
    }
}

/// The ends of I/O on the backing disk. Context of its calls: any.
pub(crate) struct Ends(pub(crate) Arc<Shared>);

impl IoClient for Ends {
    type Ctx = Own;
    type Forward = Passed;

    fn io_done(&self, own: Own, result: IoResult) {
        let shared = &self.0;
        let ok = result.is_ok();
        if result == Err(BlkStatus::RESV_CONFLICT) {
            shared.inner.lock().refused = true;
        }
        match own {
            Own::Destage(run) => {
                shared.run_over(run, ok);
                shared.work.set();
            }
            Own::Pass(pass) => {
                let end = match result {
                    Ok(()) => PassEnd::Done,
                    // The second is how a SCSI disk says so: it has answered, and does no more.
                    Err(BlkStatus::NOTSUPP | BlkStatus::TARGET) => PassEnd::Refused,
                    Err(_) => PassEnd::Failed,
                };
                shared.pass_over(pass, end);
            }
            Own::ReadBlocks(_) | Own::WriteBlock(_) | Own::Flush(_) => shared.own_over(own, ok),
        }
    }

    fn forward_done(&self, bio: Bio, passed: Passed, result: IoResult) {
        self.0.landed(Caller(bio), passed, result.is_ok());
    }

    /// What changes data that others may own by now is asked about when it goes out, not when it was prepared: the disk
    /// may not have taken it for a long time.
    fn may_issue(&self, own: &Own) -> bool {
        match *own {
            Own::Destage(run) => self.0.with(|inner, now| inner.core.may_issue(run, now)),
            Own::Pass(pass) => self.0.with(|inner, now| inner.core.issue_pass(pass, now)),
            // The first and the last change nothing, and a node block has one writer.
            Own::ReadBlocks(_) | Own::WriteBlock(_) | Own::Flush(_) => true,
        }
    }

    fn not_issued(&self, own: Own) {
        let shared = &self.0;
        match own {
            Own::Destage(run) => {
                shared.run_ended(run, DestageEnd::NotIssued);
                shared.work.set();
            }
            Own::Pass(pass) => shared.pass_over(pass, PassEnd::NotIssued),
            Own::ReadBlocks(_) | Own::WriteBlock(_) | Own::Flush(_) => shared.own_over(own, false),
        }
    }

    fn forward_back(&self, bio: Bio, passed: Passed) {
        self.0.untouched(Caller(bio), passed);
    }
}
