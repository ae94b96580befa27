//! Certificate and key from PEM files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::TlsError;
use crate::clock::UnixMs;

/// Files above this are no certificates.
const BYTES_MAX: u64 = 1024 * 1024;

/// Loads both; they have to belong to each other, and the key must not be open to everybody.
pub(super) fn load(certificate: &Path, key: &Path, provider: &Arc<CryptoProvider>) -> Result<CertifiedKey, TlsError> {
    let chain = read(certificate)?;
    let metadata = fs::metadata(key).map_err(|error| TlsError::Io(key.to_owned(), error))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(TlsError::ExposedKey(key.to_owned()));
    }
    certified(certificate, &chain, key, &Zeroizing::new(read(key)?), provider)
}

/// The pair that two PEM texts make; the paths are for the errors.
pub(super) fn certified(
    certificate: &Path,
    chain: &[u8],
    key: &Path,
    key_pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<CertifiedKey, TlsError> {
    let invalid = |path: &Path, what: String| TlsError::Invalid(PathBuf::from(path), what);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(certificate, format!("no PEM certificates ({error})")))?;
    if chain.is_empty() {
        return Err(invalid(certificate, "holds no certificate".into()));
    }
    let private = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| invalid(key, format!("no PEM key ({error})")))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| invalid(key, format!("not usable with the certificate ({error})")))
}

/// When the first certificate of a PEM file ends.
pub(super) fn expiry(path: &Path) -> Result<UnixMs, TlsError> {
    let invalid = |what: String| TlsError::Invalid(path.to_owned(), what);
    let first = CertificateDer::from_pem_slice(&read(path)?).map_err(|error| invalid(format!("no PEM certificate ({error})")))?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).map_err(|error| invalid(error.to_string()))?;
    Ok(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0).saturating_mul(1000))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(failed)?.len() > BYTES_MAX {
        return Err(TlsError::Invalid(path.to_owned(), "far too long for PEM".into()));
    }
    fs::read(path).map_err(failed)
}
