//! The server under a service manager: what it tells, what it gives up, how it ends.

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path, process::Command};

use rustix::process::Signal;
use sovereign_proto::v1::RegistrationMode;
use tokio::{net::UnixDatagram, sync::mpsc};

use crate::harness::{Raw, TestServer, within};

/// The manager's end: the states that it is told.
struct Manager(mpsc::UnboundedReceiver<String>);

impl Manager {
    /// Takes every word as it comes: the system keeps few, and a server waits for nobody to listen.
    fn listening(socket: UnixDatagram) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut state = [0; 256];
            while let Ok(length) = socket.recv(&mut state).await {
                let state = String::from_utf8(state[..length].to_vec()).expect("states are text");
                if tell.send(state).is_err() {
                    return;
                }
            }
        });
        Self(told)
    }

    async fn next(&mut self) -> String {
        within("a word of the server", self.0.recv()).await.expect("a datagram")
    }

    /// The next one that is no sign of life.
    async fn next_change(&mut self) -> String {
        loop {
            let state = self.next().await;
            if state != "WATCHDOG=1" {
                return state;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hears_of_every_turn() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("notify");
    let mut manager = Manager::listening(UnixDatagram::bind(&path).expect("it can be bound"));
    let environment = vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000".into())];
    let mut server = TestServer::start_as(&[], environment).await;
    assert_eq!(manager.next_change().await, "READY=1");
    let (_ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(manager.next().await, "WATCHDOG=1");
    assert_eq!(manager.next().await, "WATCHDOG=1", "again and again");
    server.signal(Signal::HUP);
    assert_eq!(manager.next_change().await, "RELOADING=1");
    assert_eq!(manager.next_change().await, "READY=1");
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(manager.next_change().await, "STOPPING=1");
}

#[tokio::test]
async fn a_server_with_hundreds_of_connections_says_goodbye_to_each_and_exits_with_0() {
    let arguments = ["--registration-mode", "open", "--authentication-deadline-seconds", "120"];
    let mut server = TestServer::start_with(&arguments).await;
    let mut connections = Vec::new();
    for number in 0..300 {
        let mut raw = Raw::connect(&server).await;
        assert_eq!(raw.hello.registration_mode(), RegistrationMode::Open);
        if number % 10 == 0 {
            let request = raw.sign_up_request(&crate::harness::raw::Keys::new(), &format!("user{number}"), "");
            raw.call(request).await.unwrap_or_else(|failure| panic!("sign-up refused: {}", failure.message));
        }
        connections.push(raw);
    }
    server.signal(Signal::TERM);
    for mut raw in connections {
        assert_eq!(raw.ended().await.code, Some(1012));
    }
    assert_eq!(server.ended().await, Some(0));
    let log = server.log();
    assert!(log.contains("draining") && !log.contains("were cut"), "all had ended in time");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_copy_of_the_memory() {
    let mut server = TestServer::start().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("the kernel tells");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("it has this limit");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    server.signal(Signal::ABORT);
    let status = server.exit().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

/// The directives are looked at everywhere, the score where `systemd-analyze` is.
#[test]
fn the_unit_gives_away_nothing_that_the_server_does_not_need() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/sovereign.service");
    let unit = fs::read_to_string(&path).expect("the unit is there");
    for directive in [
        "Type=notify",
        "User=sovereign",
        "UMask=0077",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateMounts=yes",
        "PrivateDevices=yes",
        "PrivateUsers=yes",
        "ProtectHostname=yes",
        "ProtectClock=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectProc=invisible",
        "ProcSubset=pid",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "RemoveIPC=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ] {
        assert!(unit.lines().any(|line| line == directive), "the unit lacks {directive}");
    }
    let score = Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=15"]).arg(&path).output();
    match score {
        Ok(output) => assert!(output.status.success(), "above 1.5:\n{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("no score: systemd-analyze cannot be run ({error})"),
    }
}
