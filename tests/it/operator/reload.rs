//! SIGHUP: what can be changed under live connections is, and what is not good changes nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use rustix::process::Signal;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use sovereign_proto::v1::{FailureCode, PingRequest, RegistrationMode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::{Raw, TestServer, eventually, raw::Keys, within};

/// Sends SIGHUP and waits until the log has this line once more.
async fn reload(server: &TestServer, line: &str) {
    let seen = |log: &str| log.matches(line).count();
    let before = seen(&server.log());
    server.signal(Signal::HUP);
    eventually(line, async || (seen(&server.log()) > before).then_some(())).await;
}

#[tokio::test]
async fn the_safe_part_of_the_configuration_changes_under_live_connections() {
    let mut server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let code = server.invite_code().await;
    let file = server.data().join("sovereign.toml");
    let page = "server_name = \"Renamed\"\nregistration_mode = \"closed\"\nlog_level = \"debug\"\nretention_days = 10\n";
    fs::write(&file, page).expect("it can be written");
    reload(&server, "the certificate was read again").await;
    let log = server.log();
    assert!(log.contains("wait for a restart") && log.contains("retention_days"), "what is not taken up is said:\n{log}");

    let mut new = Raw::connect(&server).await;
    assert_eq!((&new.hello.server_name[..], new.hello.registration_mode()), ("Renamed", RegistrationMode::Closed));
    let request = new.sign_up_request(&Keys::new(), "bob", &code);
    assert_eq!(new.refused(request).await, FailureCode::Forbidden);
    eventually("a line of the new level", async || server.log().contains("DEBUG").then_some(())).await;

    // Nothing of a file that is not good is taken up, also not its good lines.
    fs::write(&file, "server_name = \"Wrong\"\nretention_dayz = 10\n").expect("it can be written");
    reload(&server, "the configuration stays as it was").await;
    assert!(server.log().contains("did you mean retention_days?"), "with the line and what would do");
    assert_eq!(Raw::connect(&server).await.hello.server_name, "Renamed");
    let (status, _, error) = server.try_operate(&["config", "check"]).await;
    assert_eq!(status, Some(78), "{error}");

    ada.call(PingRequest { client_time_ms: 0 }).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_certificate_changes_under_live_connections() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (scratch.path().join("server.pem"), scratch.path().join("server.key"));
    let first = put_certificate(&certificate, &key);
    let flags = ["--tls-certificate", text(&certificate), "--tls-key", text(&key)];
    let server = TestServer::start_with(&flags).await;
    let (mut old, presented) = connect(&server, &first).await;
    assert_eq!(presented, first);

    let second = put_certificate(&certificate, &key);
    reload(&server, "the certificate was read again").await;
    assert_eq!(connect(&server, &second).await.1, second);

    fs::write(&certificate, "not a certificate").expect("it can be written");
    reload(&server, "the certificate stays as it was").await;
    assert_eq!(connect(&server, &second).await.1, second);

    old.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("it is live");
    let mut answer = String::new();
    within("an answer on the old connection", old.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Makes a certificate that vouches for itself.
fn put_certificate(certificate: &Path, key: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let private = made.signing_key.serialize_pem();
    assert!(PrivateKeyDer::from_pem_slice(private.as_bytes()).is_ok());
    fs::write(certificate, made.cert.pem()).expect("it can be written");
    fs::write(key, private).expect("it can be written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    made.cert.der().clone()
}

/// A TLS connection by somebody who trusts one certificate, and the one that was presented.
async fn connect(server: &TestServer, trusted: &CertificateDer<'static>) -> (TlsStream<TcpStream>, CertificateDer<'static>) {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(&server.address).await.expect("the server listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream =
        within("the handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("it is trusted");
    let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).expect("a certificate").clone().into_owned();
    (stream, presented)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
