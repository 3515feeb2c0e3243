//! Keys in files: made, listed, moved through their states, and told to the parent zone.
//!
//! A key is two files in the zone's key directory, named as other servers name theirs:
//!
//! ```text
//! Kperigee.test.+013+09125.pem     the secret, PKCS #8 in PEM; nobody but its owner may read it
//! Kperigee.test.+013+09125.toml    role = "csk"
//!                                  state = "active"
//! ```
//!
//! The numbers are the algorithm and the key tag. The second file may be edited by hand or with [`set_state`]; a
//! running server follows at the next reload.
//!
//! A role says what a key signs, a state whether it does:
//!
//! | state | in DNSKEY | a `csk` or `ksk` signs DNSKEY, CDS, CDNSKEY | a `csk` or `zsk` signs the rest | in CDS and DS |
//! | --- | --- | --- | --- | --- |
//! | `published` | yes | no | no | no |
//! | `active` | yes | yes | yes | yes, unless a `zsk` |
//! | `retired` | yes | yes | no | no |
//!
//! # Changing a key
//!
//! 1. [`generate`] the new key as `published`, reload, and wait for the TTL of DNSKEY (an hour).
//! 2. Make it `active`, reload. Both keys sign everything now. For a `csk` or `ksk`: give its [`ds`] to the parent
//!    (or let the parent read CDS), and wait until the parent has it and the TTL of the old DS is over. For a `zsk`
//!    there is nothing to wait for.
//! 3. Make the old key `retired`, reload, and take its DS out of the parent. Wait for the longest TTL of the zone.
//! 4. Delete the old key's files, reload.
//!
//! To change the *algorithm*, generate the new key as `active` at once and delete the old one after step 2: validators
//! may want a signature of every algorithm in DNSKEY on every set (RFC 6840 section 5.11), so a directory in which an
//! algorithm has no active keys is refused.
//!
//! Source: RFC 6781 sections 4.1.1 and 4.1.2, RFC 7344 for CDS, RFC 8624 for algorithms and digests. The form of the
//! files is Perigee's choice: BIND's own private-key format says nothing about roles, and spreads states over times.

use std::path::{Path, PathBuf};

use perigee_model::dns::{HostedZone, SigningAlgorithm};
use thiserror::Error;

use super::files;
use super::zone_keys::ZoneKeys;

/// What a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyRole {
    /// Everything: a combined signing key.
    #[default]
    Csk,
    /// The keys (DNSKEY, CDS, CDNSKEY); its DS is at the parent.
    Ksk,
    /// Everything but the keys.
    Zsk,
}

/// Where a key is in its life; the table is in the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    /// Told to the world, signs nothing yet.
    Published,
    /// In use.
    #[default]
    Active,
    /// On its way out.
    Retired,
}

/// A key as it lies in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The zone's apex, lower case, without trailing dot.
    pub origin: String,
    /// Key tag (RFC 4034 appendix B); unique within a zone and algorithm here, though not in DNS at large.
    pub tag: u16,
    /// The algorithm.
    pub algorithm: SigningAlgorithm,
    /// What it signs.
    pub role: KeyRole,
    /// Whether it does.
    pub state: KeyState,
    /// The file of the secret.
    pub secret: PathBuf,
}

/// Why keys cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than the owner may read the secret, or write to its directory.
    #[error("{path}: mode {mode:03o} lets others {what}; chmod it to {wanted:03o}")]
    Mode {
        /// Which file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What others can do.
        what: &'static str,
        /// What is accepted.
        wanted: u32,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The keys do not make a signed zone.
    #[error("the keys of {origin} cannot sign it: {reason}")]
    Unusable {
        /// The zone.
        origin: String,
        /// What is missing or too much.
        reason: String,
    },
    /// The zone's name cannot name a file.
    #[error("`{0}` is no zone name that a key file can have: letters, digits, `-`, `_` and dots only")]
    Origin(String),
    /// No such key.
    #[error("{directory} has no key {tag} of {origin}")]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
        /// The zone.
        origin: String,
        /// The tag.
        tag: u16,
    },
}

/// Makes a key for the zone at `origin` and writes it to `directory`, which is made if there is none.
///
/// The tag differs from those of the zone's other keys. The secret's file has mode 600, a directory that is made 700.
/// Draws from the system's entropy. Errors: the directory or a file cannot be written; nothing is left behind then,
/// and nothing is ever overwritten.
pub fn generate(
    directory: &Path,
    origin: &str,
    algorithm: SigningAlgorithm,
    role: KeyRole,
    state: KeyState,
) -> Result<KeyInfo, KeyError> {
    files::generate(directory, origin, algorithm, role, state)
}

/// The keys of the zone at `origin`, in order of algorithm and tag; empty if there is no directory or no key.
///
/// Errors: what [`KeyError`] names, for the first file it holds for.
pub fn list(directory: &Path, origin: &str) -> Result<Vec<KeyInfo>, KeyError> {
    Ok(files::load(directory, origin)?.into_iter().map(|(info, _)| info).collect())
}

/// The DS records of the zone's active keys, a line each in presentation form, for the parent zone.
///
/// Digests are SHA-256, the one that RFC 8624 section 3.3 wants everybody to use. Errors: as for [`check`].
pub fn ds(directory: &Path, origin: &str) -> Result<Vec<String>, KeyError> {
    Ok(ZoneKeys::load(directory, origin)?.ds_lines())
}

/// The DNSKEY records of the zone's active `csk` and `ksk` keys, a line each in presentation form: what a validator
/// takes as trust anchor where there is no signed parent. Errors: as for [`check`].
pub fn anchors(directory: &Path, origin: &str) -> Result<Vec<String>, KeyError> {
    Ok(ZoneKeys::load(directory, origin)?.anchor_lines())
}

/// Moves the key with this tag into `state`, in its file; a running server follows at the next reload.
///
/// Of several algorithms' keys with one tag, the first in order of [`list`]. Errors: no such key; the file cannot be
/// replaced, and stays as it was.
pub fn set_state(directory: &Path, origin: &str, tag: u16, state: KeyState) -> Result<KeyInfo, KeyError> {
    files::set_state(directory, origin, tag, state)
}

/// Whether the server could sign this zone: the keys are there, nobody else may read them, and their roles and states
/// make sense together. A zone without signing, or without a key directory, is always in order.
pub fn check(zone: &HostedZone) -> Result<(), KeyError> {
    match zone.signing.as_ref().and_then(|signing| signing.key_directory.as_deref()) {
        Some(directory) => ZoneKeys::load(directory, &zone.origin).map(|_| ()),
        None => Ok(()),
    }
}

impl KeyRole {
    /// As it is written in a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csk => "csk",
            Self::Ksk => "ksk",
            Self::Zsk => "zsk",
        }
    }

    /// The role of this name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Csk, Self::Ksk, Self::Zsk].into_iter().find(|role| role.as_str() == text)
    }

    /// Whether it signs the keys and has its DS at the parent ("secure entry point").
    pub(super) const fn is_entry(self) -> bool {
        matches!(self, Self::Csk | Self::Ksk)
    }

    /// Whether it signs what is not a key.
    pub(super) const fn signs_data(self) -> bool {
        matches!(self, Self::Csk | Self::Zsk)
    }
}

impl KeyState {
    /// As it is written in a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// The state of this name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Published, Self::Active, Self::Retired].into_iter().find(|state| state.as_str() == text)
    }
}
