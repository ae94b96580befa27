//! The one door to rustls: TLS 1.3 to a server whose authority is pinned, or whom the system's authorities vouch for.

use std::{env, fs, path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    version::TLS13,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where systems keep the certificates of the authorities they trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Why there is no TLS session.
#[derive(Debug)]
pub(super) enum TlsError {
    /// The server's certificate is not to be trusted.
    Untrusted(String),
    /// There is nothing to judge the certificate by.
    NoRoots(String),
    /// The connection failed meanwhile.
    Network(String),
}

/// A configuration that trusts what `ca_pin` says; `None`: the file `SSL_CERT_FILE` names, or the system's.
pub(super) fn connector(ca_pin: Option<[u8; 32]>) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match ca_pin {
        Some(pin) => Arc::new(PinnedAuthority { pin, provider: Arc::clone(&provider) }),
        None => WebPkiServerVerifier::builder_with_provider(Arc::new(system_roots()?), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::NoRoots(error.to_string()))?,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("aws-lc-rs has cipher suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The handshake over an established stream. `host` is a DNS name or an IP address without brackets.
pub(super) async fn handshake<S>(connector: &TlsConnector, host: &str, stream: S) -> Result<TlsStream<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Network(format!("{host:?} is no host name")))?;
    connector.connect(name, stream).await.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(reason)) => TlsError::Untrusted(certificate_text(reason)),
        Some(other) => TlsError::Network(format!("TLS: {other}")),
        None => TlsError::Network(format!("TLS: {error}")),
    })
}

fn certificate_text(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "its certificate does not come from the authority that is trusted here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        other => format!("its certificate is not valid: {other}"),
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let candidates = named.map_or_else(|| SYSTEM_ROOTS.iter().map(PathBuf::from).collect(), |file| vec![file]);
    let Some((file, pem)) = candidates.into_iter().find_map(|file| fs::read(&file).ok().map(|pem| (file, pem))) else {
        let text = "the link has no pin (`p`), and no file of trusted authorities is readable; set SSL_CERT_FILE";
        return Err(TlsError::NoRoots(text.to_owned()));
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(TlsError::NoRoots(format!("{} holds no certificates", file.display()))) } else { Ok(roots) }
}

/// Trusts exactly the chains that end in the authority of this key: one of the certificates the server sends along must
/// have it, and then stands as the only root for the ordinary checks of names, validity and signatures.
#[derive(Debug)]
struct PinnedAuthority {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    fn root_among(&self, certificates: &[CertificateDer<'_>]) -> Option<RootCertStore> {
        certificates.iter().find_map(|certificate| {
            let mut store = RootCertStore::empty();
            store.add(certificate.clone()).ok()?;
            (key_pin(&store.roots[0].subject_public_key_info) == self.pin).then_some(store)
        })
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let roots = self.root_among(intermediates).ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// SHA-256 of a `SubjectPublicKeyInfo`, given the content of its outer SEQUENCE (which is all that a trust anchor keeps).
fn key_pin(content: &[u8]) -> [u8; 32] {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut hash = Sha256::new();
    hash.update([0x30]);
    if let [short @ 0..0x80] = length {
        hash.update([*short]);
    } else {
        hash.update([0x80 | u8::try_from(length.len()).expect("a length has at most 8 bytes")]);
        hash.update(length);
    }
    hash.update(content);
    hash.finalize().into()
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
    use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// The server's side for 127.0.0.1, and the pin of its authority.
    pub(in super::super) fn acceptor() -> ([u8; 32], TlsAcceptor) {
        let (pin, certificate, issuer) = authority();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let leaf = params.signed_by(&key, &issuer).expect("signed").der().clone();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("aws-lc-rs has cipher suites of TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![leaf, certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("the key is the certificate's");
        (pin, TlsAcceptor::from(Arc::new(config)))
    }

    /// An authority: its pin, its certificate, and what issues.
    fn authority() -> ([u8; 32], CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        (Sha256::digest(key.subject_public_key_info()).into(), certificate, Issuer::new(params, key))
    }

    fn leaf(name: &str, issuer: &Issuer<'_, KeyPair>) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.signed_by(&KeyPair::generate().expect("a key"), issuer).expect("signed").der().clone()
    }

    fn judge(pin: [u8; 32], leaf: &CertificateDer<'_>, sent_along: &[CertificateDer<'_>], host: &str) -> Result<(), String> {
        let verifier = PinnedAuthority { pin, provider: Arc::new(aws_lc_rs::default_provider()) };
        let name = ServerName::try_from(host).expect("a name");
        match verifier.verify_server_cert(leaf, sent_along, &name, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(reason)) => Err(certificate_text(&reason)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn only_chains_of_the_pinned_authority_pass_and_only_for_their_name() {
        let (pin, certificate, issuer) = authority();
        let (other_pin, other_certificate, other_issuer) = authority();
        let (ours, theirs) = (leaf("localhost", &issuer), leaf("localhost", &other_issuer));
        let chain = std::slice::from_ref(&certificate);
        assert_eq!(judge(pin, &ours, chain, "localhost"), Ok(()));
        assert_eq!(judge(pin, &leaf("127.0.0.1", &issuer), chain, "127.0.0.1"), Ok(()));
        let authority = |result: Result<(), String>| assert!(result.is_err_and(|text| text.contains("authority")));
        // Another authority's whole chain; its leaf under our certificate; no authority sent at all; our leaf as its own.
        authority(judge(pin, &theirs, &[other_certificate], "localhost"));
        assert!(judge(pin, &theirs, chain, "localhost").is_err());
        authority(judge(pin, &ours, &[], "localhost"));
        authority(judge(other_pin, &ours, chain, "localhost"));
        assert!(judge(pin, &ours, chain, "elsewhere.example").is_err_and(|text| text.contains("another name")));
    }

    #[test]
    fn the_outer_sequence_is_put_back() {
        let wrapped = |header: &[u8], content: &[u8]| -> [u8; 32] { Sha256::digest([header, content].concat()).into() };
        assert_eq!(key_pin(&[1; 0x7f]), wrapped(&[0x30, 0x7f], &[1; 0x7f]));
        assert_eq!(key_pin(&[1; 0x80]), wrapped(&[0x30, 0x81, 0x80], &[1; 0x80]));
        assert_eq!(key_pin(&[1; 0x126]), wrapped(&[0x30, 0x82, 0x01, 0x26], &[1; 0x126]));
    }

    #[test]
    fn a_pin_needs_no_roots_of_the_system() {
        assert!(connector(Some([0; 32])).is_ok());
    }
}
