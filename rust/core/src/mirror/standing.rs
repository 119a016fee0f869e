// SPDX-License-Identifier: GPL-2.0
//! What a controller says of itself and a volume to its partner: again and again, so nothing rests on one message.

/// Whether, and why not, a controller could take the volume over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is still opening the volume.
    Opening,
    /// It owns the volume.
    Serving,
    /// It could take over, if the owner died now.
    Ready,
    /// It could not, or is at it already.
    Blocked,
    /// A fault has stopped it.
    Stopped,
    /// It is closing the volume.
    Closing,
    /// It owns the volume and answers nothing, since its disk does nothing: the partner is to take over.
    Offering,
}

impl Standing {
    /// All of them, by their code on the wire, which counts from 1.
    pub const ALL: [Self; 7] = [
        Self::Opening,
        Self::Serving,
        Self::Ready,
        Self::Blocked,
        Self::Stopped,
        Self::Closing,
        Self::Offering,
    ];

    /// The code on the wire.
    pub(super) fn code(self) -> u64 {
        self as u64 + 1
    }

    /// What a code means, if anything.
    pub(super) fn of_code(code: u64) -> Option<Self> {
        let at = usize::try_from(code.checked_sub(1)?).ok()?;
        Self::ALL.get(at).copied()
    }
}
