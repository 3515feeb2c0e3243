use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use perigee_dns::keys::{KeyRole, KeyState};
use perigee_model::dns::SigningAlgorithm;

#[derive(Debug, Subcommand)]
pub(crate) enum Dns {
    /// The keys that sign a zone's answers
    #[command(subcommand, after_help = "Example: perigee dns keys generate --directory ./keys --zone example.org")]
    Keys(Keys),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key and write it to the directory, which is made if there is none
    #[command(
        after_help = "Example: perigee dns keys generate --directory ./keys --zone example.org --algorithm ed25519"
    )]
    Generate {
        #[command(flatten)]
        of: KeysOf,
        /// The algorithm
        #[arg(long, value_enum, default_value = "ecdsap256sha256")]
        algorithm: Algorithm,
        /// What it signs
        #[arg(long, value_enum, default_value = "csk")]
        role: Role,
        /// Whether it does from the start
        #[arg(long, value_enum, default_value = "active")]
        state: State,
    },
    /// List the keys of a zone
    #[command(after_help = "Example: perigee dns keys list --directory ./keys --zone example.org")]
    List {
        #[command(flatten)]
        of: KeysOf,
    },
    /// Print the DS records of the active keys, for the parent zone
    #[command(after_help = "Example: perigee dns keys ds --directory ./keys --zone example.org")]
    Ds {
        #[command(flatten)]
        of: KeysOf,
    },
    /// Print the DNSKEY records that a validator takes as trust anchors where no parent is signed
    #[command(after_help = "Example: perigee dns keys anchors --directory ./keys --zone perigee.test")]
    Anchors {
        #[command(flatten)]
        of: KeysOf,
    },
    /// Move a key to another state; a running server follows at the next reload
    #[command(after_help = "Example: perigee dns keys state --directory ./keys --zone example.org 9125 retired")]
    State {
        #[command(flatten)]
        of: KeysOf,
        /// The key's tag
        tag: u16,
        /// Its new state
        #[arg(value_enum)]
        state: State,
    },
}

/// Which keys.
#[derive(Debug, Args)]
pub(crate) struct KeysOf {
    /// The zone's key_directory
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// The zone's apex
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Algorithm {
    /// ECDSA on P-256 with SHA-256, number 13
    #[value(name = "ecdsap256sha256")]
    EcdsaP256Sha256,
    /// Ed25519, number 15
    Ed25519,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Csk,
    /// The keys; its DS is at the parent
    Ksk,
    /// Everything but the keys
    Zsk,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    /// Told to the world, signs nothing yet
    Published,
    /// In use
    Active,
    /// On its way out
    Retired,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            Algorithm::Ed25519 => Self::Ed25519,
        }
    }
}

impl From<Role> for KeyRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Csk => Self::Csk,
            Role::Ksk => Self::Ksk,
            Role::Zsk => Self::Zsk,
        }
    }
}

impl From<State> for KeyState {
    fn from(state: State) -> Self {
        match state {
            State::Published => Self::Published,
            State::Active => Self::Active,
            State::Retired => Self::Retired,
        }
    }
}
