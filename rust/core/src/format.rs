// SPDX-License-Identifier: GPL-2.0
//! What all formats on the disk and on the wire have in common: versions, and why one was not accepted.
//!
//! *Too new* and *malformed* are different errors: the first asks for an upgrade and says nothing about the data, the
//! second says that these bytes were never written by a yoke, or were damaged since.

use core::fmt;

/// Why bytes were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormatError {
    /// They are in order, but written by a yoke that this one does not understand.
    TooNew(TooNew),
    /// They are in order, but of a version that this yoke does not read any more.
    TooOld {
        /// Their version.
        version: u16,
        /// The oldest version that is read.
        reads: u16,
    },
    /// They are not what they should be.
    Malformed(Malformed),
}

/// What a newer yoke has written that this one cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TooNew {
    /// Readers need at least format version `needs`; this one knows versions up to `knows`.
    Version {
        /// The oldest version whose readers understand the bytes.
        needs: u16,
        /// The newest version known here.
        knows: u16,
    },
    /// Readers need features that are not known here: the unknown bits.
    Features(u64),
}

/// What is wrong with bytes that should be in one of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// They are too few.
    Short,
    /// All of them are zero: nothing was ever written.
    Blank,
    /// They do not begin with the magic number of the format.
    Magic,
    /// The checksum is wrong: damaged, or torn in the middle of a write.
    Checksum,
    /// The versions contradict each other.
    Version,
    /// Reserved bytes are not zero.
    Reserved,
    /// They belong to another appliance.
    Appliance,
    /// They belong to another volume.
    Volume,
    /// They were written for another node, or another place.
    Place,
    /// The named field holds a value that it cannot have.
    Field(&'static str),
    /// The two copies have the same sequence and different contents: somebody else writes here.
    Conflict,
}

impl From<Malformed> for FormatError {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl From<TooNew> for FormatError {
    fn from(reason: TooNew) -> Self {
        Self::TooNew(reason)
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooNew(reason) => write!(f, "too new: {reason}; upgrade yoke on this controller"),
            Self::TooOld { version, reads } => write!(
                f,
                "too old: it has format version {version}, this yoke reads {reads} and later; save its data with the \
                yoke that made it, and make it anew"
            ),
            Self::Malformed(reason) => write!(f, "malformed: {reason}"),
        }
    }
}

impl fmt::Display for TooNew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { needs, knows } => {
                write!(
                    f,
                    "it needs format version {needs}, this yoke knows versions up to {knows}"
                )
            }
            Self::Features(unknown) => write!(
                f,
                "it needs features that this yoke does not have (bits {unknown:#x})"
            ),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("there are too few bytes"),
            Self::Blank => f.write_str("nothing was ever written here"),
            Self::Magic => f.write_str("this is something else (wrong magic number)"),
            Self::Checksum => {
                f.write_str("the checksum is wrong: damaged, or torn in the middle of a write")
            }
            Self::Version => f.write_str("its version numbers contradict each other"),
            Self::Reserved => f.write_str("reserved bytes are not zero"),
            Self::Appliance => f.write_str("it belongs to another appliance"),
            Self::Volume => f.write_str("it belongs to another volume"),
            Self::Place => f.write_str("it was written for another place or node"),
            Self::Field(name) => write!(f, "impossible value for \"{name}\""),
            Self::Conflict => f.write_str(
                "its two copies differ under one sequence number: two writers were at work",
            ),
        }
    }
}

/// Which versions and features of a format this yoke has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The version that is written.
    pub current: u16,
    /// The oldest version whose readers understand what is written.
    pub min_reader: u16,
    /// The oldest version that is still read.
    pub oldest: u16,
    /// The required features known here.
    pub features: u64,
}

impl Known {
    /// Checks the version fields of a format.
    ///
    /// # Errors
    ///
    /// [`TooNew`] if a reader must know more than this one does, [`FormatError::TooOld`] if the version is not read any
    /// more, [`Malformed::Version`] if the fields cannot be.
    pub fn check(&self, version: u16, min_reader: u16, features: u64) -> Result<(), FormatError> {
        if min_reader == 0 || min_reader > version {
            return Err(Malformed::Version.into());
        }
        if min_reader > self.current {
            return Err(TooNew::Version {
                needs: min_reader,
                knows: self.current,
            }
            .into());
        }
        if version < self.oldest {
            return Err(FormatError::TooOld {
                version,
                reads: self.oldest,
            });
        }
        let unknown = features & !self.features;
        if unknown != 0 {
            return Err(TooNew::Features(unknown).into());
        }
        Ok(())
    }

    /// Whether bytes of `version` may carry fields unknown here, so that reserved bytes need not be zero.
    pub const fn is_newer(&self, version: u16) -> bool {
        version > self.current
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_format))]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        current: 3,
        min_reader: 2,
        oldest: 2,
        features: 0b11,
    };

    #[test]
    fn too_new_and_malformed_are_told_apart() {
        assert_eq!(KNOWN.check(2, 1, 0b01), Ok(()));
        assert_eq!(KNOWN.check(7, 3, 0b11), Ok(()));
        assert_eq!(
            KNOWN.check(7, 4, 0),
            Err(TooNew::Version { needs: 4, knows: 3 }.into())
        );
        assert_eq!(
            KNOWN.check(1, 1, 0),
            Err(FormatError::TooOld {
                version: 1,
                reads: 2
            })
        );
        assert_eq!(
            KNOWN.check(2, 2, 0b110),
            Err(TooNew::Features(0b100).into())
        );
        assert_eq!(KNOWN.check(1, 2, 0), Err(Malformed::Version.into()));
        assert_eq!(KNOWN.check(0, 0, 0), Err(Malformed::Version.into()));
        assert!(KNOWN.is_newer(4));
        assert!(!KNOWN.is_newer(3));
    }
}
