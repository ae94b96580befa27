//! The one door to rustls and certificates.

mod files;
mod local;
mod stream;
#[cfg(test)]
pub(super) mod trusting;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

pub(super) use self::stream::Stream;
use crate::clock::UnixMs;

/// Where certificate and key come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From files that somebody else keeps.
    Files {
        /// PEM: the server's certificate, then what leads to its authority.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
    /// From an authority of this server's own.
    Local {
        /// The directory of the authority, made when missing.
        directory: PathBuf,
        /// Host name of the public URL; localhost and the loopback addresses come by themselves.
        public_host: Option<String>,
    },
}

/// There is no usable certificate.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A file does not hold what it should.
    Invalid(PathBuf, String),
    /// The key may be read by everybody.
    ExposedKey(PathBuf),
    /// The local authority cannot make a certificate for these names.
    Authority(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Invalid(path, what) => write!(f, "{}: {what}", path.display()),
            Self::ExposedKey(path) => write!(f, "{0}: everybody may read this key; run: chmod 600 {0}", path.display()),
            Self::Authority(what) => write!(f, "the local certificate authority: {what}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// TLS as the listener offers it. Cheap to clone; [`Tls::reload`] changes the certificate of all clones.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    source: Source,
    authority_pin: Option<String>,
}

/// What a source gives.
struct Identity {
    certified: CertifiedKey,
    authority_pin: Option<String>,
}

impl Tls {
    /// TLS 1.3 (and 1.2 where it is asked for) with the certificate of `source`; a local one is made or renewed if needed.
    pub fn open(source: Source, allow_tls_1_2: bool, now: UnixMs) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let Identity { certified, authority_pin } = load(&source, &provider, now)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let versions: &[_] =
            if allow_tls_1_2 { &[&rustls::version::TLS13, &rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| TlsError::Authority(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Returning clients resume by a ticket, so the server remembers nothing for them. Early data stays off.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Authority(error.to_string()))?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), current, source, authority_pin })
    }

    /// Reads the files again, or renews the local certificate if it is about to expire. On an error the old one stays.
    pub fn reload(&self, now: UnixMs) -> Result<(), TlsError> {
        let Identity { certified, .. } = load(&self.source, self.config.crypto_provider(), now)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        Ok(())
    }

    /// base64url (no padding) of SHA-256 over the local authority's public key, as links carry it; `None` where the
    /// certificate comes from files.
    #[must_use]
    pub fn authority_pin(&self) -> Option<&str> {
        self.authority_pin.as_deref()
    }
}

/// The local authority's certificate in PEM, for `sovereign ca export`; made when missing.
pub fn export_authority(source: &Source, now: UnixMs) -> Result<Option<String>, TlsError> {
    let Source::Local { directory, public_host } = source else { return Ok(None) };
    let provider = Arc::new(aws_lc_rs::default_provider());
    local::load(directory, public_host.as_deref(), &provider, now).map(|local| Some(local.authority_pem))
}

/// When the certificate that clients see ends. Reads it as it is, and makes none.
pub fn expiry(source: &Source) -> Result<UnixMs, TlsError> {
    let path = match source {
        Source::Files { certificate, .. } => certificate.clone(),
        Source::Local { directory, .. } => directory.join("server.pem"),
    };
    files::expiry(&path)
}

fn load(source: &Source, provider: &Arc<CryptoProvider>, now: UnixMs) -> Result<Identity, TlsError> {
    match source {
        Source::Files { certificate, key } => {
            Ok(Identity { certified: files::load(certificate, key, provider)?, authority_pin: None })
        }
        Source::Local { directory, public_host } => {
            let local = local::load(directory, public_host.as_deref(), provider, now)?;
            Ok(Identity { certified: local.certified, authority_pin: Some(local.pin) })
        }
    }
}

/// The certificate that every client gets, whatever name it asks for.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
