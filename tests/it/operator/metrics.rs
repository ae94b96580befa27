//! Metrics as a scraper gets them.

use std::collections::{BTreeMap, BTreeSet};

use sovereign_proto::v1::FailureCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Raw, TestServer, scene, tls::tls, within};

/// The samples of a scrape: name and labels to value.
struct Scraped {
    samples: BTreeMap<String, f64>,
    text: String,
}

impl Scraped {
    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("{sample} is missing:\n{}", self.text))
    }
}

/// The answer to a request for a path, from where ready.json says that metrics are.
async fn ask(server: &TestServer, path: &str) -> String {
    let ready = std::fs::read(server.data().join("ready.json")).expect("the server is ready");
    let ready: serde_json::Value = serde_json::from_slice(&ready).expect("JSON");
    let url = ready["metrics"].as_str().expect("ready.json says where metrics are").to_owned();
    let address = url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    let mut stream = TcpStream::connect(&address).await.expect("the server listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the server takes it");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.expect("text");
    answer
}

/// Scrapes, and reads the text as `OpenMetrics` has it: every sample belongs to a family with a type and a help text.
async fn scrape(server: &TestServer) -> Scraped {
    let answer = ask(server, "/metrics").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (mut types, mut helps, mut samples) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((name, _)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
            let name = sample.split('{').next().expect("a name");
            let family = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(types.contains_key(family) && helps.contains(family), "{line:?} has no family");
            let value = value.parse().unwrap_or_else(|_| panic!("{line:?} has no number"));
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} stands there twice");
        }
    }
    Scraped { samples, text: text.to_owned() }
}

#[tokio::test]
async fn a_running_server_is_scraped() {
    let server = TestServer::start_with(&["--metrics-listen", "127.0.0.1:0"]).await;
    let before = scrape(&server).await;
    assert_eq!((before.value("sovereign_connections"), before.value("sovereign_messages_accepted_total")), (0.0, 0.0));

    let (mut ada, mut bob) = scene::pair(&server).await;
    ada.person.send(&mut ada.group, "one").await;
    ada.person.send(&mut ada.group, "two").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "one");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "two");
    let unknown = sovereign_proto::v1::GetGroupInfoRequest { group_id: vec![7; 32].into() };
    assert_eq!(ada.person.raw.refused(unknown).await, FailureCode::NotFound);
    let mut raw = Raw::connect(&server).await;
    raw.frame(vec![0xff; 10]).await;
    assert_eq!(raw.ended().await.code, Some(4007));

    let after = scrape(&server).await;
    for (sample, value) in [
        ("sovereign_messages_accepted_total", 2.0),
        ("sovereign_devices_connected", 2.0),
        (r#"sovereign_requests_total{request="SendMessage",code="ok"}"#, 2.0),
        (r#"sovereign_requests_total{request="GetGroupInfo",code="not_found"}"#, 1.0),
        (r#"sovereign_request_seconds_count{request="SendMessage"}"#, 2.0),
        (r#"sovereign_request_seconds_bucket{le="+Inf",request="SendMessage"}"#, 2.0),
        (r#"sovereign_refusals_total{code="not_found"}"#, 1.0),
        (r#"sovereign_closes_total{code="4007"}"#, 1.0),
        ("sovereign_commit_races_lost_total", 0.0),
    ] {
        assert!((after.value(sample) - value).abs() < f64::EPSILON, "{sample}: {}", after.text);
    }
    assert!(after.value("sovereign_entries_delivered_total") >= 3.0, "a Welcome, and messages");
    assert!(after.value("sovereign_connections_opened_total") >= 3.0);
    assert!(after.value("sovereign_writer_commit_seconds_count") > before.value("sovereign_writer_commit_seconds_count"));
    assert!(after.value("sovereign_disk_free_bytes") > 0.0);
    for gauge in ["backlog_entries", "key_packages", "groups_behind", "groups_frozen", "wal_bytes"] {
        after.value(&format!("sovereign_{gauge}"));
    }
    let ids = [&ada.person.keys.account, &bob.person.keys.device].map(|id| data_encoding::HEXLOWER.encode(id));
    for private in ["\"ada", "\"bob", "127.0.0.1", &ids[0], &ids[1]] {
        assert!(!after.text.contains(private), "{private} is told:\n{}", after.text);
    }
}

#[tokio::test]
async fn metrics_are_nowhere_else() {
    let server = TestServer::start_with(&["--metrics-listen", "127.0.0.1:0"]).await;
    for path in ["/", "/healthz", "/v1/ws", "/metrics/"] {
        let answer = ask(&server, path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    let mut stream = tls(&server).await;
    let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the server takes it");
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));

    let (code, _, error) = server.try_operate(&["config", "check", "--metrics-listen", "0.0.0.0:9464"]).await;
    assert_eq!(code, Some(78));
    assert!(error.contains("loopback"), "{error}");
    let plain = TestServer::start().await;
    let ready = std::fs::read_to_string(plain.data().join("ready.json")).expect("the server is ready");
    assert!(!ready.contains("metrics"), "off unless asked for: {ready}");
}
