// SPDX-License-Identifier: GPL-2.0
//! What an epoll event is about, packed into its 64 bits.

use rustix::event::epoll::EventData;

use crate::doorbell::Ring;

/// What an epoll event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A signal to end.
    Signal,
    /// A control client connects.
    ControlListener,
    /// The control client of that number.
    Client(u32),
    /// A machine connects to that side.
    SideListener(u16),
    /// The machine of that side.
    Machine(u16),
    /// A doorbell was rung.
    Bell(Ring),
}

impl Token {
    /// As epoll keeps it.
    pub(crate) fn pack(self) -> EventData {
        let join = |kind: u64, a: u16, b: u16, c: u16| {
            EventData::new_u64(kind << 48 | u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c))
        };
        match self {
            Self::Signal => join(0, 0, 0, 0),
            Self::ControlListener => join(1, 0, 0, 0),
            Self::Client(number) => EventData::new_u64(2 << 48 | u64::from(number)),
            Self::SideListener(side) => join(3, side, 0, 0),
            Self::Machine(side) => join(4, side, 0, 0),
            Self::Bell(Ring { from, to, vector }) => join(5, from, to, vector),
        }
    }

    /// Back again.
    pub(crate) fn unpack(data: EventData) -> Self {
        let data = data.u64();
        let part = |shift: u32| (data >> shift & 0xffff) as u16;
        match data >> 48 {
            1 => Self::ControlListener,
            2 => Self::Client(data as u32),
            3 => Self::SideListener(part(32)),
            4 => Self::Machine(part(32)),
            5 => Self::Bell(Ring {
                from: part(32),
                to: part(16),
                vector: part(0),
            }),
            _ => Self::Signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        let ring = Ring {
            from: 63,
            to: 1,
            vector: 2047,
        };
        for token in [
            Token::Signal,
            Token::ControlListener,
            Token::Client(u32::MAX),
            Token::SideListener(63),
            Token::Machine(63),
            Token::Bell(ring),
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
