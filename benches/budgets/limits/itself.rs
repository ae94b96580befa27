//! This very program as something else, in a process of its own, so that its CPU is measured alone.

use std::process::Stdio;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// It, running. Killed when it is dropped.
pub struct Itself {
    child: Child,
    /// Where it listens, on loopback.
    pub port: u16,
    /// What vouches for it.
    pub roots: RootCertStore,
}

impl Itself {
    /// Starts as `what`, which prints its port in the first line and then its authority's certificate.
    pub async fn start(what: &str) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args(["--be", what])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this program starts again");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let mut line = async || lines.next_line().await.expect("it speaks").expect("it lives");
        let port = line().await.parse().expect("the first line is a port");
        let mut pem = String::new();
        while !pem.contains("END CERTIFICATE") {
            pem += &line().await;
            pem.push('\n');
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a good certificate");
        Self { child, port, roots }
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it lives")
    }
}
