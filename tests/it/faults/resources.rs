//! Room, file descriptors and memory that run out: what can go on goes on, and the rest recovers by itself.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sovereign::limits::SERVED_WHEN_SHORT;
use sovereign_proto::v1::{FailureCode, PingRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    Raw, TestServer, eventually,
    scene::{pair, send_request},
    tls::tls,
    within,
};

/// What `/readyz` says.
async fn readiness(server: &TestServer) -> String {
    let mut stream = tls(server).await;
    let head = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_messages_and_everything_else_goes_on() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    ada.person.send(&mut ada.group, "before").await;
    assert!(readiness(&server).await.ends_with("ready\n"));
    server.terminate().await;
    server.set_arguments(&["--disk-reserve-bytes", "1099511627776"]);
    server.restart().await;
    let (mut adas, _) = Raw::sign_in(&server, &ada.person.keys).await;
    let message = ada.person.member.message(&mut ada.group, "too much");
    let refused = adas.call(send_request(&id, message.clone())).await.err().expect("there is no room");
    assert_eq!(refused.code(), FailureCode::QuotaExceeded);
    assert!(refused.retry_after_ms > 0, "it says when to ask again");
    let answer = readiness(&server).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("messages are refused"), "{answer}");
    bob.person.raw = Raw::sign_in(&server, &bob.person.keys).await.0;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "before", "delivered and acknowledged");
    bob.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("the acknowledgement is read by now");
    let (_, session) = Raw::sign_in(&server, &bob.person.keys).await;
    assert!(session.logs.is_empty(), "and that is durable");
    server.terminate().await;
    server.set_arguments(&[]);
    server.restart().await;
    let (mut adas, _) = Raw::sign_in(&server, &ada.person.keys).await;
    adas.call(send_request(&id, message)).await.expect("the same message, once there is room");
}

#[tokio::test]
async fn without_file_descriptors_sessions_live_and_others_come_in_later() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let pid = Pid::from_raw(server.pid().cast_signed());
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("the server runs").count() as u64;
    let lower = Rlimit { current: Some(open), maximum: Some(4096) };
    let before = prlimit(pid, Resource::Nofile, lower).expect("its limit can be lowered");
    // These wait in the kernel's queue: none of them gets anywhere.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(tokio::net::TcpStream::connect(&server.address).await.expect("the kernel takes it"));
    }
    eventually("a word in the log", || async { server.log().contains("accepting connections fails").then_some(()) }).await;
    ada.person.send(&mut ada.group, "we live").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "we live");
    let again = Rlimit { current: before.current.map(|limit| limit.min(4096)), maximum: Some(4096) };
    prlimit(pid, Resource::Nofile, again).expect("its limit can be raised");
    let (mut raw, _) = Raw::sign_in(&server, &ada.person.keys).await;
    raw.call(PingRequest { client_time_ms: 0 }).await.expect("served");
    let told = server.log().matches("accepting connections fails").count();
    assert_eq!(told, 1, "the log is told once");
}

#[tokio::test]
async fn short_of_memory_newcomers_are_turned_away_with_a_word_but_for_a_few() {
    // Less than any server has: it is short of memory whoever is there.
    let server = TestServer::start_with(&["--memory-bytes-max", "1000000", "--authentication-deadline-seconds", "60"]).await;
    eventually("a word in the log", || async { server.log().contains("memory: new connections wait").then_some(()) }).await;
    let answer = readiness(&server).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("memory is short"), "{answer}");
    let mut few = Vec::new();
    for _ in 0..SERVED_WHEN_SHORT {
        let mut raw = Raw::connect(&server).await;
        raw.call(PingRequest { client_time_ms: 0 }).await.expect("served");
        few.push(raw);
    }
    let mut raw = Raw::connect(&server).await;
    assert_eq!(raw.ended().await.code, Some(1013));
    few.pop().expect("a few are there").hang_up().await;
    eventually("the place of the one who went", || async {
        let mut raw = Raw::connect(&server).await;
        let ping = raw.send(PingRequest { client_time_ms: 0 }).await;
        raw.answer_to(ping).await.ok()
    })
    .await;
    for raw in &mut few {
        raw.call(PingRequest { client_time_ms: 0 }).await.expect("who was there goes on");
    }
}
