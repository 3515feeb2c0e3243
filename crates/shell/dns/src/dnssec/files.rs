use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hickory_proto::dnssec::SigningKey;
use hickory_proto::dnssec::crypto::{EcdsaSigningKey, Ed25519SigningKey};
use hickory_proto::dnssec::{Algorithm, DnsSecError};
use perigee_model::dns::SigningAlgorithm;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::keys::{KeyError, KeyInfo, KeyRole, KeyState};
use super::zone_keys::{MAX_KEYS, tag_of};

/// Octets that a key's file may have; a P-256 key takes 300.
const MAX_FILE: u64 = 16 * 1_024;
/// Attempts to draw a key whose tag no other one of the zone has.
const DRAWS: usize = 64;

pub(super) type Secret = Box<dyn SigningKey>;

pub(super) fn generate(
    directory: &Path,
    origin: &str,
    algorithm: SigningAlgorithm,
    role: KeyRole,
    state: KeyState,
) -> Result<KeyInfo, KeyError> {
    let unusable = |reason: String| KeyError::Unusable { origin: origin.to_owned(), reason };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io_at(directory))?;
    let others = load(directory, origin)?;
    if others.len() >= MAX_KEYS {
        return Err(unusable(format!("there are {} keys already, and {MAX_KEYS} is the limit", others.len())));
    }
    for _ in 0..DRAWS {
        let (der, secret) = draw(algorithm).map_err(|error| unusable(error.to_string()))?;
        let tag = tag_of(secret.as_ref(), role).map_err(|error| unusable(error.to_string()))?;
        if others.iter().any(|(other, _)| other.tag == tag) {
            continue;
        }
        let path = directory.join(format!("{}.pem", stem(origin, algorithm, tag)?));
        write_new(&path, pem(&der).as_bytes(), 0o600)?;
        if let Err(error) = write_new(&path.with_extension("toml"), words(role, state).as_bytes(), 0o644) {
            // Without its second file it is no key, and would keep all others from being used.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        return Ok(KeyInfo { origin: origin.to_owned(), tag, algorithm, role, state, secret: path });
    }
    Err(unusable("no key tag is free".to_owned()))
}

/// The keys of `origin` with their secrets, in order of algorithm and tag; none if there is no directory.
pub(super) fn load(directory: &Path, origin: &str) -> Result<Vec<(KeyInfo, Secret)>, KeyError> {
    let prefix = format!("{}+", prefix(origin)?);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_at(directory)(error)),
    };
    refuse_mode(directory, &fs::metadata(directory).map_err(io_at(directory))?, 0o022, "put keys into it", 0o700)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_at(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(&prefix) && name.ends_with(".pem") {
            paths.push(path);
        }
        if paths.len() > MAX_KEYS {
            let reason = format!("more than {MAX_KEYS} keys in {}", directory.display());
            return Err(KeyError::Unusable { origin: origin.to_owned(), reason });
        }
    }
    paths.sort();
    paths.into_iter().map(|path| load_one(path, origin)).collect()
}

pub(super) fn set_state(directory: &Path, origin: &str, tag: u16, state: KeyState) -> Result<KeyInfo, KeyError> {
    let found = load(directory, origin)?.into_iter().map(|(info, _)| info).find(|info| info.tag == tag);
    let Some(info) = found else {
        return Err(KeyError::Missing { directory: directory.to_owned(), origin: origin.to_owned(), tag });
    };
    let path = info.secret.with_extension("toml");
    // Written beside it and moved over it, so that a server that reads meanwhile sees the old or the new.
    let new = info.secret.with_extension("toml.new");
    let _ = fs::remove_file(&new);
    write_new(&new, words(info.role, state).as_bytes(), 0o644)?;
    fs::rename(&new, &path).map_err(io_at(&path))?;
    Ok(KeyInfo { state, ..info })
}

/// A new key and its PKCS #8 form.
pub(super) fn draw(algorithm: SigningAlgorithm) -> Result<(Vec<u8>, Secret), DnsSecError> {
    let der = match algorithm {
        SigningAlgorithm::EcdsaP256Sha256 => EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256)?,
        SigningAlgorithm::Ed25519 => Ed25519SigningKey::generate_pkcs8()?,
    };
    let secret = read_secret(&der, algorithm)?;
    Ok((der.secret_pkcs8_der().to_vec(), secret))
}

fn read_secret(der: &PrivatePkcs8KeyDer<'_>, algorithm: SigningAlgorithm) -> Result<Secret, DnsSecError> {
    Ok(match algorithm {
        SigningAlgorithm::EcdsaP256Sha256 => Box::new(EcdsaSigningKey::from_pkcs8(der, Algorithm::ECDSAP256SHA256)?),
        SigningAlgorithm::Ed25519 => Box::new(Ed25519SigningKey::from_pkcs8(der)?),
    })
}

fn load_one(path: PathBuf, origin: &str) -> Result<(KeyInfo, Secret), KeyError> {
    let malformed = |path: &Path, reason: String| KeyError::Malformed { path: path.to_owned(), reason };
    let state_path = path.with_extension("toml");
    let (role, state) = parse_words(&read(&state_path, None)?).map_err(|reason| malformed(&state_path, reason))?;
    let pem = read(&path, Some(0o077))?;
    let algorithm = algorithm_in(&path).ok_or_else(|| malformed(&path, "no algorithm that can be used".to_owned()))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| malformed(&path, format!("no PKCS #8 key in PEM: {error}")))?;
    let secret = read_secret(&der, algorithm).map_err(|error| {
        malformed(&path, format!("no secret key of algorithm {} with its public half: {error}", number(algorithm)))
    })?;
    let tag = tag_of(secret.as_ref(), role).map_err(|error| malformed(&path, error.to_string()))?;
    let stem = stem(origin, algorithm, tag)?;
    if path.file_stem().and_then(|name| name.to_str()) != Some(stem.as_str()) {
        return Err(malformed(&path, format!("as {} the key in it would be named {stem}", role.as_str())));
    }
    Ok((KeyInfo { origin: origin.to_owned(), tag, algorithm, role, state, secret: path }, secret))
}

/// The number of an algorithm (IANA, "DNS Security Algorithm Numbers").
const fn number(algorithm: SigningAlgorithm) -> u8 {
    match algorithm {
        SigningAlgorithm::EcdsaP256Sha256 => 13,
        SigningAlgorithm::Ed25519 => 15,
    }
}

fn algorithm_in(path: &Path) -> Option<SigningAlgorithm> {
    let text = path.file_stem()?.to_str()?.rsplit('+').nth(1)?;
    [SigningAlgorithm::EcdsaP256Sha256, SigningAlgorithm::Ed25519]
        .into_iter()
        .find(|algorithm| format!("{:03}", number(*algorithm)) == text)
}

fn prefix(origin: &str) -> Result<String, KeyError> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if origin.is_empty() || origin.starts_with('.') || !origin.bytes().all(fits) {
        return Err(KeyError::Origin(origin.to_owned()));
    }
    Ok(format!("K{}.", origin.to_ascii_lowercase()))
}

fn stem(origin: &str, algorithm: SigningAlgorithm, tag: u16) -> Result<String, KeyError> {
    Ok(format!("{}+{:03}+{tag:05}", prefix(origin)?, number(algorithm)))
}

fn words(role: KeyRole, state: KeyState) -> String {
    format!("role = \"{}\"\nstate = \"{}\"\n", role.as_str(), state.as_str())
}

/// Role and state, both of which must be there once and nothing else; comments and blank lines are skipped.
fn parse_words(text: &str) -> Result<(KeyRole, KeyState), String> {
    let (mut role, mut state) = (None, None);
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if line.is_empty() {
            continue;
        }
        let wrong = || {
            format!(
                "`{line}` is neither `role = \"csk\"|\"ksk\"|\"zsk\"` nor `state = \"published\"|\"active\"|\"retired\"`"
            )
        };
        let (key, value) = line.split_once('=').ok_or_else(wrong)?;
        let value = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or_else(wrong)?;
        let twice = match key.trim() {
            "role" => role.replace(KeyRole::parse(value).ok_or_else(wrong)?).is_some(),
            "state" => state.replace(KeyState::parse(value).ok_or_else(wrong)?).is_some(),
            _ => return Err(wrong()),
        };
        if twice {
            return Err(format!("`{}` is there twice", key.trim()));
        }
    }
    Ok((role.ok_or("`role` is missing")?, state.ok_or("`state` is missing")?))
}

/// `der` as a PEM file (RFC 7468 section 10).
fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let body: String = lines.flat_map(|line| [line.into_owned(), "\n".to_owned()]).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n")
}

/// The text of a file of a bounded size; with `forbidden`, of a plain file that has none of these bits in its mode.
fn read(path: &Path, forbidden: Option<u32>) -> Result<String, KeyError> {
    let file = File::open(path).map_err(io_at(path))?;
    // Asked of the open file, so that it is the one that is read.
    let metadata = file.metadata().map_err(io_at(path))?;
    if let Some(forbidden) = forbidden {
        refuse_mode(path, &metadata, forbidden, "read the secret", 0o600)?;
    }
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(io_at(path))?;
    if read as u64 > MAX_FILE {
        let reason = format!("larger than {MAX_FILE} octets");
        return Err(KeyError::Malformed { path: path.to_owned(), reason });
    }
    Ok(text)
}

fn refuse_mode(
    path: &Path,
    metadata: &fs::Metadata,
    forbidden: u32,
    what: &'static str,
    wanted: u32,
) -> Result<(), KeyError> {
    let mode = metadata.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(KeyError::Mode { path: path.to_owned(), mode, what, wanted });
    }
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(io_at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = fs::remove_file(path);
        io_at(path)(error)
    })
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path: path.clone(), source }
}
