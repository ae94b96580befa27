//! A certificate authority of this server's own: made on first start, constrained to the server's names, its public key
//! pinned by invite links. Its certificate may be made anew (other names); its key, and so the pin, stays.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, PublicKeyData as _, SerialNumber,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{TlsError, files};
use crate::{clock::UnixMs, entropy, private_file};

const AUTHORITY_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// A day less than the 397 that browsers take at most: it is backdated by one.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(396 * 24);
/// A certificate that would expire within this is made anew.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);
/// Clocks of clients may run behind by this much.
const BACKDATED: Duration = Duration::from_hours(24);
/// Bytes of a file of this directory.
const BYTES_MAX: u64 = 64 * 1024;

/// The authority and the certificate it made.
pub(super) struct Local {
    pub(super) certified: CertifiedKey,
    pub(super) pin: String,
    pub(super) authority_pem: String,
}

struct Paths {
    authority: PathBuf,
    authority_key: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// Loads what is there and makes what is missing, about to expire, or not for these names.
pub(super) fn load(
    directory: &Path,
    public_host: Option<&str>,
    provider: &Arc<CryptoProvider>,
    now: UnixMs,
) -> Result<Local, TlsError> {
    private_file::create_directory(directory).map_err(|error| TlsError::Io(directory.to_owned(), error))?;
    let paths = Paths {
        authority: directory.join("ca.pem"),
        authority_key: directory.join("ca.key"),
        certificate: directory.join("server.pem"),
        key: directory.join("server.key"),
    };
    let names = names(public_host);
    let authority_key = authority_key(&paths.authority_key)?;
    let (mut authority, mut leaf) = (read(&paths.authority)?, read(&paths.certificate)?);
    if !is_good(authority.as_deref(), leaf.as_deref(), &names, provider, now) {
        // An authority that is good for these names stays as it is: people may have installed it.
        let kept = match &authority {
            Some(authority) => Some(issue(authority, &authority_key, &names, now)?),
            None => None,
        };
        let (made_authority, issued) = match kept {
            Some(issued) if is_good(authority.as_deref(), Some(&issued.0), &names, provider, now) => (None, issued),
            _ => {
                let made = make_authority(&authority_key, &names, now)?;
                let issued = issue(&made, &authority_key, &names, now)?;
                (Some(made), issued)
            }
        };
        if let Some(made) = made_authority {
            write(&paths.authority, &made)?;
            authority = Some(made);
        }
        let (certificate, key) = issued;
        write(&paths.key, &key)?;
        write(&paths.certificate, &certificate)?;
        leaf = Some(certificate);
        if !is_good(authority.as_deref(), leaf.as_deref(), &names, provider, now) {
            return Err(TlsError::Authority(format!("cannot make a certificate for {}", names.join(", "))));
        }
    }
    let (authority, leaf) = (authority.unwrap_or_default(), leaf.unwrap_or_default());
    let key = Zeroizing::new(read(&paths.key)?.unwrap_or_default());
    let chain = [leaf, authority.clone()].concat();
    let certified = files::certified(&paths.certificate, &chain, &paths.key, &key, provider)?;
    let pin = BASE64URL_NOPAD.encode(&Sha256::digest(authority_key.subject_public_key_info()));
    let authority_pem = String::from_utf8(authority).map_err(|_| TlsError::Invalid(paths.authority, "no PEM".into()))?;
    Ok(Local { certified, pin, authority_pem })
}

/// Every name the server answers to.
fn names(public_host: Option<&str>) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let public = public_host.map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase());
    names.extend(public.filter(|host| !names.contains(host)));
    names
}

/// Whether `leaf` is, and stays for a while, a certificate of `authority` for all names, by the rules clients check.
fn is_good(authority: Option<&[u8]>, leaf: Option<&[u8]>, names: &[String], provider: &Arc<CryptoProvider>, now: UnixMs) -> bool {
    let (Some(authority), Some(leaf)) = (authority.and_then(der), leaf.and_then(der)) else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(authority).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build() else {
        return false;
    };
    let times = [now, now + millis(RENEW_BEFORE)].map(|time| UnixTime::since_unix_epoch(Duration::from_millis(time)));
    names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| times.iter().all(|time| verifier.verify_server_cert(&leaf, &[], &name, &[], *time).is_ok()))
    })
}

fn authority_key(path: &Path) -> Result<KeyPair, TlsError> {
    if let Some(pem) = read(path)?.map(Zeroizing::new) {
        let pem = std::str::from_utf8(&pem).map_err(|_| TlsError::Invalid(path.to_owned(), "no PEM".into()))?;
        return KeyPair::from_pem(pem).map_err(|error| TlsError::Invalid(path.to_owned(), error.to_string()));
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| refused(&error))?;
    write(path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
    Ok(key)
}

/// A self-signed authority that can vouch for `names` and nothing else.
fn make_authority(key: &KeyPair, names: &[String], now: UnixMs) -> Result<Vec<u8>, TlsError> {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, AUTHORITY_LIFE);
    params.distinguished_name.push(DnType::CommonName, "Sovereign local authority");
    params.serial_number = Some(serial());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let permitted_subtrees = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, if address.is_ipv4() { 32 } else { 128 })),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    });
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted_subtrees.collect(), excluded_subtrees: Vec::new() });
    params.self_signed(key).map(|certificate| certificate.pem().into_bytes()).map_err(|error| refused(&error))
}

/// A certificate for `names` with a key of its own, both in PEM.
fn issue(
    authority: &[u8],
    authority_key: &KeyPair,
    names: &[String],
    now: UnixMs,
) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), TlsError> {
    let authority = der(authority).ok_or_else(|| TlsError::Authority("ca.pem holds no certificate".into()))?;
    let issuer = Issuer::from_ca_cert_der(&authority, authority_key).map_err(|error| refused(&error))?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| refused(&error))?;
    let mut params = CertificateParams::new(names).map_err(|error| refused(&error))?;
    set_validity(&mut params, now, CERTIFICATE_LIFE);
    params.distinguished_name.push(DnType::CommonName, "Sovereign server");
    params.serial_number = Some(serial());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer).map_err(|error| refused(&error))?;
    Ok((certificate.pem().into_bytes(), Zeroizing::new(key.serialize_pem().into_bytes())))
}

/// From a day ago to `life` from now. rcgen's type of time is never named, so its crate need not be one of ours.
fn set_validity(params: &mut CertificateParams, now: UnixMs, life: Duration) {
    let now = Duration::from_millis(now);
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + life;
}

/// Positive and unguessable (RFC 5280, section 4.1.2.2).
fn serial() -> SerialNumber {
    let mut bytes = entropy::random::<16>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn der(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem).ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    private_file::read(path, BYTES_MAX).map_err(|error| TlsError::Io(path.to_owned(), error))
}

fn write(path: &Path, content: &[u8]) -> Result<(), TlsError> {
    private_file::write(path, content).map_err(|error| TlsError::Io(path.to_owned(), error))
}

fn refused(error: &rcgen::Error) -> TlsError {
    TlsError::Authority(error.to_string())
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
