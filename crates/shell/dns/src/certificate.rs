//! The certificate of the encrypted transports: an operator's, or one of an authority of our own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_secs(86_400);
/// Life of an authority, and of the certificates that it signs, of which every start makes another (Perigee's choice;
/// the latter is the longest that common clients accept).
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);
const CERTIFICATE_LIFE: Duration = Duration::from_secs(397 * 86_400);
/// Files of an authority in its directory.
const AUTHORITY_FILE: &str = "authority.pem";
const KEY_FILE: &str = "authority.key";
/// Whom a certificate is for if nobody says.
const DEFAULT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where the encrypted transports' certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files, read once at the start: the server's certificate followed by those between it and an authority, and
    /// the key (PKCS #8, PKCS #1 or SEC 1).
    Files {
        /// The chain.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// An authority made for this installation, which clients may be told to trust.
    LocalAuthority {
        /// Where `authority.pem` and `authority.key` (mode 0600) are kept; made if they are not there. None: the
        /// authority lives as long as the server, see [`Server::authority`](crate::Server::authority).
        directory: Option<PathBuf>,
        /// Domain names and addresses that the certificate is for; none stands for `localhost` and the loopback
        /// addresses.
        names: Vec<String>,
    },
}

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The local authority's certificate.
    pub(crate) authority: Option<String>,
}

impl CertificateSource {
    /// Reads or makes the certificate. Uses the wall clock and, for an authority, entropy.
    ///
    /// Errors: a file cannot be read or written, is not what it should be, or a name is none.
    pub(crate) fn load(&self) -> io::Result<Identity> {
        match self {
            Self::Files { certificate, key } => {
                let bad = |path: &Path, error| invalid(format!("{}: {error}", path.display()));
                let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
                    .and_then(Iterator::collect)
                    .map_err(|error| bad(certificate, error))?;
                if chain.is_empty() {
                    return Err(invalid(format!("{}: no certificate in it", certificate.display())));
                }
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error))?;
                Ok(Identity { chain, key, authority: None })
            }
            Self::LocalAuthority { directory, names } => {
                let (key, authority) = match directory {
                    Some(directory) => kept_authority(directory)?,
                    None => new_authority()?,
                };
                signed_by(key, authority, names)
            }
        }
    }
}

impl Identity {
    /// The TLS side of a server that speaks these protocols: TLS 1.2 and 1.3, or 1.3 alone as QUIC wants it. Without
    /// early data, which could be replayed.
    ///
    /// Errors: the key is not the certificate's.
    pub(crate) fn server_config(&self, protocols: &[&[u8]], is_quic: bool) -> io::Result<ServerConfig> {
        let versions = if is_quic { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| invalid(format!("certificate and key: {error}")))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// The authority in `directory`, made if neither of its files is there.
fn kept_authority(directory: &Path) -> io::Result<(KeyPair, String)> {
    let (key_path, path) = (directory.join(KEY_FILE), directory.join(AUTHORITY_FILE));
    if !key_path.exists() && !path.exists() {
        let (key, authority) = new_authority()?;
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_path)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        fs::write(&path, &authority)?;
        return Ok((key, authority));
    }
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let key = KeyPair::from_pem(&read(&key_path)?).map_err(|e| invalid(format!("{}: {e}", key_path.display())))?;
    let authority = read(&path)?;
    let der = CertificateDer::from_pem_slice(authority.as_bytes())
        .map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    // A certificate holds its public key as it stands.
    let public = key.public_key_raw();
    if !der.windows(public.len()).any(|window| window == public) {
        return Err(invalid(format!("{} is not of {}", path.display(), key_path.display())));
    }
    Ok((key, authority))
}

fn new_authority() -> io::Result<(KeyPair, String)> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = authority_params();
    (params.not_before, params.not_after) = life(AUTHORITY_LIFE);
    let authority = params.self_signed(&key).map_err(io::Error::other)?.pem();
    Ok((key, authority))
}

/// What an authority is but for its times, the same at every start: a certificate that it signs names it by this.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Perigee local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn signed_by(key: KeyPair, authority: String, names: &[String]) -> io::Result<Identity> {
    let names = if names.is_empty() { DEFAULT_NAMES.map(String::from).to_vec() } else { names.to_vec() };
    let first = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names).map_err(|e| invalid(format!("names of the certificate: {e}")))?;
    params.distinguished_name.push(DnType::CommonName, first);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = life(CERTIFICATE_LIFE);
    let own = KeyPair::generate().map_err(io::Error::other)?;
    let issuer = Issuer::new(authority_params(), key);
    let certificate = params.signed_by(&own, &issuer).map_err(io::Error::other)?;
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|e| invalid(e.to_string()))?;
    Ok(Identity {
        chain: vec![certificate.der().clone(), root],
        key: PrivatePkcs8KeyDer::from(own.serialize_der()).into(),
        authority: Some(authority),
    })
}

/// From a day ago, for clients whose clocks are behind.
fn life<T: From<SystemTime>>(length: Duration) -> (T, T) {
    let now = SystemTime::now();
    ((now - DAY).into(), (now + length).into())
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("perigee-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    fn local(directory: &Path) -> CertificateSource {
        CertificateSource::LocalAuthority { directory: Some(directory.into()), names: vec!["dns.test".into()] }
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_is_for_its_owner_alone() {
        let directory = directory("authority");
        let first = local(&directory).load().unwrap();
        let mode = fs::metadata(directory.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = local(&directory).load().unwrap();
        assert_eq!(first.authority, second.authority);
        assert_eq!(first.authority, Some(fs::read_to_string(directory.join(AUTHORITY_FILE)).unwrap()));
        assert_ne!(first.chain[0], second.chain[0], "every start has a certificate of its own");
        assert_eq!(first.chain[1], second.chain[1]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn half_an_authority_or_two_halves_of_two_are_refused() {
        let (one, other) = (directory("one"), directory("other"));
        local(&one).load().unwrap();
        local(&other).load().unwrap();
        fs::copy(other.join(AUTHORITY_FILE), one.join(AUTHORITY_FILE)).unwrap();
        let error = local(&one).load().unwrap_err().to_string();
        assert!(error.contains("is not of"), "{error}");
        fs::remove_file(one.join(AUTHORITY_FILE)).unwrap();
        assert_eq!(local(&one).load().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(other.join(KEY_FILE), "no key").unwrap();
        assert_eq!(local(&other).load().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(one).unwrap();
        fs::remove_dir_all(other).unwrap();
    }

    #[test]
    fn files_are_read_and_bad_ones_named() {
        let directory = directory("files");
        fs::create_dir_all(&directory).unwrap();
        let made = local(&directory).load().unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(authority_params(), KeyPair::generate().unwrap());
        let certificate = CertificateParams::new(vec!["a.test".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let (path, key_path) = (directory.join("c.pem"), directory.join("c.key"));
        fs::write(&path, certificate.pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        let source = CertificateSource::Files { certificate: path.clone(), key: key_path.clone() };
        let identity = source.load().unwrap();
        identity.server_config(&[b"dot"], false).unwrap();
        fs::write(&key_path, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = source.load().unwrap().server_config(&[b"dot"], false).unwrap_err();
        assert!(error.to_string().contains("certificate and key"), "{error}");
        fs::write(&path, "nothing").unwrap();
        assert!(source.load().unwrap_err().to_string().contains("c.pem"));
        drop(made);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let source = CertificateSource::LocalAuthority { directory: None, names: vec!["schön".into()] };
        assert!(source.load().unwrap_err().to_string().contains("names of the certificate"));
    }
}
