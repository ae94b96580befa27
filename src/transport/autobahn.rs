//! The Autobahn Testsuite against our link: an endpoint that gives every message back, text as text, which no session of
//! ours does. Built and run by `./scripts/conformance`, which brings the testsuite's `wstest`.

use std::{collections::BTreeMap, env, fs, future::poll_fn, process::Stdio, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Semaphore,
};
use tokio_websockets::Message;

use super::WebSocketLink;
use crate::{
    session::link::{Event, Incoming, Link as _},
    transport::upgrade,
};

/// The largest message of the testsuite is 16 MiB.
const FRAME_LIMIT: usize = 32 << 20;

/// Outcomes of a case, and of its end, that are none of the server's faults. Compression is not spoken here.
const GOOD: [&str; 4] = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autobahn_finds_no_case_that_fails_and_no_unclean_close() {
    let wstest = env::var_os("SOVEREIGN_WSTEST").expect("./scripts/conformance says where wstest is");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("it is bound"));
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });

    let directory = tempfile::tempdir().expect("a scratch directory");
    let (spec, reports) = (directory.path().join("spec.json"), directory.path().join("reports"));
    let servers = [json!({"agent": "sovereign", "url": url})];
    let plan = json!({"outdir": reports, "servers": servers, "cases": ["*"], "exclude-cases": [], "exclude-agent-cases": {}});
    fs::write(&spec, plan.to_string()).expect("the plan can be written");
    let mut driver = Command::new(wstest);
    driver.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec).stdin(Stdio::null()).kill_on_drop(true);
    let output = driver.output().await.expect("wstest runs");
    serving.abort();
    assert!(output.status.success(), "wstest ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));

    let index = fs::read(reports.join("index.json")).expect("the testsuite reports");
    let index: Value = serde_json::from_slice(&index).expect("a report is JSON");
    let cases = index["sovereign"].as_object().expect("the report is about this endpoint");
    let (mut counts, mut bad) = (BTreeMap::<String, usize>::new(), Vec::new());
    for (case, report) in cases {
        let outcome = |key: &str| report[key].as_str().unwrap_or("MISSING").to_owned();
        let (behaviour, close) = (outcome("behavior"), outcome("behaviorClose"));
        if !GOOD.contains(&behaviour.as_str()) || !GOOD.contains(&close.as_str()) {
            bad.push(format!("{case}: {behaviour}, its end {close}"));
        }
        *counts.entry(behaviour).or_default() += 1;
        *counts.entry(format!("close {close}")).or_default() += 1;
    }
    println!("autobahn: {} cases, {} failed or unclean, {counts:?}", cases.len(), bad.len());
    assert!(cases.len() > 240, "only {} cases ran", cases.len());
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

async fn echo(mut stream: TcpStream) {
    let Some(key) = client_key(&mut stream).await else { return };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        upgrade::accept(&key)
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut link = WebSocketLink::new(stream, Bytes::new(), FRAME_LIMIT, Arc::new(Semaphore::new(1)));
    // As for somebody who has signed in: guests send nothing large.
    link.set_frame_limit(FRAME_LIMIT);
    loop {
        match poll_fn(|cx| link.poll(cx, true)).await {
            Event::In(Incoming::Frame(frame)) => link.feed(frame),
            Event::In(Incoming::Text(text)) => {
                link.0.queue(Message::text(String::from_utf8(text.into()).expect("the codec has checked it")));
            }
            Event::In(Incoming::Closed(_) | Incoming::Io) => return,
            // What breaks the rules is closed by the link itself.
            _ => {}
        }
    }
}

/// The key in the head of an upgrade.
async fn client_key(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let key = head.lines().find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:"))?;
    Some(key.split_once(':')?.1.trim().to_owned())
}
