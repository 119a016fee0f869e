// SPDX-License-Identifier: GPL-2.0
//! What the two controllers of a volume say to each other about it, through the session.
//!
//! ```text
//! 0   1  kind: 1 ask, 2 grant, 3 retire, 4 released, 5 leaving, 6 want, 7 standing
//! 1   1  version
//! 2   6  reserved
//! 8  16  volume uuid
//! 24  8  link epoch: the life of the link that is meant, 0 for none
//! 32  8  owner generation, 0 where it does not matter; of 7, that of the own record
//! 40  8  number of the question; of 7, the standing: 1 opening, 2 serving, 3 ready, 4 blocked, 5 stopped, 6 closing, 7 offering
//! 48  8  region epoch, 0 for none
//! 56  8  offset of the region
//! 64  4  slots of the region
//! 68  1  epoch word of the region
//! 69  3  reserved
//! ```

use super::standing::Standing;
use crate::ids::{Epoch, Generation, LinkEpoch, Uuid};
use crate::le::{Reader, Writer};
use crate::window::Place;

/// Length of a message in bytes.
pub const MESSAGE_SIZE: usize = 72;

const VERSION: u8 = 2;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Owner to partner: grant me a region on this life of a link. The record names no region of this link any more,
    /// and no earlier grant on it will be used.
    Ask {
        /// The life of the link.
        life: LinkEpoch,
        /// Of the owner.
        generation: Generation,
        /// Only the grant with the number of the last question counts.
        number: u64,
        /// How many slots are needed.
        slots: u32,
    },
    /// Partner to owner: the region is cleared, and its word is set.
    Grant {
        /// The life of the link.
        life: LinkEpoch,
        /// Of the question.
        number: u64,
        /// The new epoch.
        epoch: Epoch,
        /// Where the region stands in the partner's window.
        place: Place,
    },
    /// Owner to partner: the record does not name the region with this epoch, nor will it: it is not needed.
    Retire {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Old owner to partner: the record says `released`. Claim it.
    Released {
        /// Of the release.
        generation: Generation,
    },
    /// Partner to owner: I want to close. Go solo, please.
    Leaving,
    /// Partner to owner: give the volume to me, please.
    Want,
    /// Either to the other: how I stand. One that was stopped by a fault, or offers the volume, asks with it to be taken over
    /// from.
    Standing {
        /// How.
        standing: Standing,
        /// Of my record, as it certainly stands on the disk.
        generation: Generation,
    },
}

impl Message {
    /// The message as bytes.
    pub fn encode(&self, volume: &Uuid) -> [u8; MESSAGE_SIZE] {
        let (mut life, mut generation, mut number, mut epoch) = (0, 0, 0, 0);
        let (mut offset, mut slots, mut word) = (0, 0, 0);
        let kind = match *self {
            Self::Ask {
                life: l,
                generation: g,
                number: n,
                slots: s,
            } => {
                (life, generation, number, slots) = (l.get(), g.get(), n, s);
                1
            }
            Self::Grant {
                life: l,
                number: n,
                epoch: e,
                place,
            } => {
                (life, number, epoch) = (l.get(), n, e.get());
                (offset, slots, word) = (place.offset, place.slots, place.epoch_word);
                2
            }
            Self::Retire { epoch: e } => {
                epoch = e.get();
                3
            }
            Self::Released { generation: g } => {
                generation = g.get();
                4
            }
            Self::Leaving => 5,
            Self::Want => 6,
            Self::Standing {
                standing,
                generation: g,
            } => {
                (number, generation) = (standing.code(), g.get());
                7
            }
        };
        let mut raw = [0; MESSAGE_SIZE];
        let mut writer = Writer::new(&mut raw);
        writer.u8(kind).u8(VERSION).reserved::<6>();
        writer
            .bytes(volume.as_bytes())
            .u64(life)
            .u64(generation)
            .u64(number)
            .u64(epoch)
            .u64(offset)
            .u32(slots)
            .u8(word);
        let fits = writer.fill();
        debug_assert!(fits);
        raw
    }

    /// Which volume these bytes are about, if they are a message at all.
    pub fn volume(raw: &[u8]) -> Option<Uuid> {
        (raw.len() == MESSAGE_SIZE).then_some(())?;
        Some(Uuid::from_bytes(*raw.get(8..)?.first_chunk::<16>()?))
    }

    /// Reads a message. `None`: these bytes are none. A place is to be checked against the peer's window
    /// ([`Place::check`]) before it is used.
    pub fn decode(raw: &[u8]) -> Option<Self> {
        (raw.len() == MESSAGE_SIZE).then_some(())?;
        let mut reader = Reader::new(raw);
        let (kind, version) = (reader.u8()?, reader.u8()?);
        let (reserved, _volume) = (reader.bytes::<6>()?, reader.bytes::<16>()?);
        (version == VERSION && reserved == [0; 6]).then_some(())?;
        let (life, generation) = (reader.u64()?, Generation::new(reader.u64()?));
        let (number, epoch) = (reader.u64()?, reader.u64()?);
        let (offset, slots, epoch_word) = (reader.u64()?, reader.u32()?, reader.u8()?);
        reader.rest_is_zero().then_some(())?;
        Some(match kind {
            1 => Self::Ask {
                life: LinkEpoch::new(life)?,
                generation,
                number,
                slots,
            },
            2 => Self::Grant {
                life: LinkEpoch::new(life)?,
                number,
                epoch: Epoch::new(epoch)?,
                place: Place {
                    epoch_word,
                    offset,
                    slots,
                },
            },
            3 => Self::Retire {
                epoch: Epoch::new(epoch)?,
            },
            4 => Self::Released { generation },
            5 => Self::Leaving,
            6 => Self::Want,
            7 => Self::Standing {
                standing: Standing::of_code(number)?,
                generation,
            },
            _ => return None,
        })
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_mirror_message))]
mod tests {
    use super::*;

    const LIFE: LinkEpoch = match LinkEpoch::new(3) {
        Some(life) => life,
        None => panic!(),
    };
    const EPOCH: Epoch = match Epoch::new(4) {
        Some(epoch) => epoch,
        None => panic!(),
    };

    #[test]
    fn every_message_comes_back() {
        let (life, epoch) = (LIFE, EPOCH);
        let generation = Generation::new(5);
        let place = Place {
            epoch_word: 6,
            offset: 4096,
            slots: 8,
        };
        let volume = Uuid::from_bytes([9; 16]);
        for message in [
            Message::Ask {
                life,
                generation,
                number: 7,
                slots: 8,
            },
            Message::Grant {
                life,
                number: 7,
                epoch,
                place,
            },
            Message::Retire { epoch },
            Message::Released { generation },
            Message::Leaving,
            Message::Want,
            Message::Standing {
                standing: Standing::Opening,
                generation,
            },
            Message::Standing {
                standing: Standing::Offering,
                generation,
            },
        ] {
            let mut raw = message.encode(&volume);
            assert_eq!(Message::volume(&raw), Some(volume));
            assert_eq!(Message::decode(&raw), Some(message));
            assert_eq!(Message::decode(&raw[1..]), None);
            raw[1] = VERSION - 1;
            assert_eq!(Message::decode(&raw), None);
        }
        assert_eq!(Message::decode(&[0; MESSAGE_SIZE]), None);
    }
}
