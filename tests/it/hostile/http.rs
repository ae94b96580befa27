//! Before the WebSocket: HTTP, and how many connections there may be.

use sovereign::auth::secret;
use sovereign_proto::{
    signed::PURPOSE_ISSUE_TOKEN,
    v1::{IssueTokenRequest, PingRequest},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::memory::{Peak, TOLERATED};
use crate::harness::{
    Carrier, Raw, TestServer,
    tls::{tls, tls_on},
    within,
};

/// Sends a request's head over TLS; the answer's status line and all that follows until the end.
async fn ask(server: &TestServer, head: &str) -> String {
    let mut stream = tls(server).await;
    let _refused = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol: sovereign.v1\r\n";

#[tokio::test]
async fn upgrades_that_are_not_ours_are_refused_with_what_we_speak() {
    let server = TestServer::start().await;
    let with = |more: &str| format!("{SUBPROTOCOL}{more}");
    let rows = [
        ("no upgrade", "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "426", ""),
        ("another version", upgrade("/v1/ws", &with("")).replace("Version: 13", "Version: 8"), "426", "13"),
        ("no subprotocol", upgrade("/v1/ws", ""), "400", "sovereign.v1"),
        ("another subprotocol", upgrade("/v1/ws", "Sec-WebSocket-Protocol: chat\r\n"), "400", "sovereign.v1"),
        ("a foreign origin", upgrade("/v1/ws", &with("Origin: https://evil.example\r\n")), "403", ""),
        ("the null origin", upgrade("/v1/ws", &with("Origin: null\r\n")), "403", ""),
        ("a token in the query", upgrade("/v1/ws?token=secret", &with("")), "400", ""),
        ("an unknown path", "GET /admin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "404", ""),
    ];
    for (what, head, status, says) in rows {
        let answer = ask(&server, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert!(answer.contains(says), "{what}: {answer}");
    }
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn masses_of_headers_are_refused() {
    let server = TestServer::start().await;
    let many = (0..200).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Long: {}\r\n", "y".repeat(200_000));
    for more in [many, long] {
        let answer = ask(&server, &format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(&server.address).await.expect("the server listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("the server takes it");
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn silence_and_junk_below_tls_are_closed_and_others_are_served() {
    let server = TestServer::start().await;
    let mut silent = TcpStream::connect(&server.address).await.expect("the server listens");
    let mut junk = TcpStream::connect(&server.address).await.expect("the server listens");
    let _reset = junk.write_all(&vec![0x16; 64 * 1024]).await;
    Raw::connect(&server).await;
    for stream in [&mut junk, &mut silent] {
        let mut rest = Vec::new();
        let _reset = within("the end", stream.read_to_end(&mut rest)).await;
    }
}

/// The head of an upgrade's answer.
async fn upgraded(server: &TestServer, path: &str, more: &str) -> String {
    let mut stream = tls(server).await;
    stream.write_all(upgrade(path, more).as_bytes()).await.expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the upgrade", stream.read_u8()).await.expect("a head"));
    }
    String::from_utf8(head).expect("a head is text").to_ascii_lowercase()
}

#[tokio::test]
async fn an_upgrade_that_is_good_gets_what_we_speak_and_nothing_else_that_was_offered() {
    let server = TestServer::start().await;
    let own = format!("Origin: https://localhost:{}\r\n", server.address.rsplit(':').next().expect("a port"));
    let rows = [
        ("nothing more", String::new()),
        ("compression offered", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n".to_owned()),
        ("an extension of the future", "Sec-WebSocket-Extensions: x-future\r\n".to_owned()),
        ("another subprotocol first", "Sec-WebSocket-Protocol: chat, sovereign.v2\r\n".to_owned()),
        ("the server's own origin", own),
        ("a cookie", "Cookie: token=sovt_AAAA; session=1\r\n".to_owned()),
        ("another host by name", "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n".to_owned()),
    ];
    for (what, more) in rows {
        let head = upgraded(&server, "/v1/ws", &format!("{more}{SUBPROTOCOL}")).await;
        assert!(head.starts_with("http/1.1 101 "), "{what}: {head}");
        assert!(head.contains("sec-websocket-protocol: sovereign.v1\r\n"), "{what}: {head}");
        for never in ["sec-websocket-extensions", "set-cookie", "evil.example", "server:"] {
            assert!(!head.contains(never), "{what}: {head}");
        }
    }
}

#[tokio::test]
async fn requests_of_no_form_are_refused_in_one_answer_and_end_the_connection() {
    let server = TestServer::start().await;
    let peak = Peak::of(&server);
    let close = "Host: localhost\r\nConnection: close\r\n";
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let rows = [
        ("another method on a probe", format!("DELETE /healthz HTTP/1.1\r\n{close}\r\n"), "405"),
        ("an upgrade by POST", upgrade("/v1/ws", SUBPROTOCOL).replace("GET", "POST"), "426"),
        ("an upgrade in HTTP/1.0", upgrade("/v1/ws", SUBPROTOCOL).replace("HTTP/1.1", "HTTP/1.0"), "426"),
        ("a key of other length", upgrade("/v1/ws", SUBPROTOCOL).replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"),
        ("two versions", upgrade("/v1/ws", &format!("Sec-WebSocket-Version: 13\r\n{SUBPROTOCOL}")), "426"),
        ("two keys", upgrade("/v1/ws", &format!("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{SUBPROTOCOL}")), "400"),
        ("a path with dots", format!("GET /v1/../admin HTTP/1.1\r\n{close}\r\n"), "404"),
        ("a path of 8 KiB", format!("GET /{} HTTP/1.1\r\n{close}\r\n", "x".repeat(8192)), "404"),
        ("a path of 64 KiB", format!("GET /{} HTTP/1.1\r\n{close}\r\n", "x".repeat(65_536)), "4"),
        ("a line that is none", "nonsense\r\n\r\n".to_owned(), "400"),
        ("a version of the future", format!("GET /healthz HTTP/9.9\r\n{close}\r\n"), "400"),
        ("a header without a colon", format!("GET /healthz HTTP/1.1\r\nnonsense\r\n{close}\r\n"), "400"),
        ("a zero in a header", format!("GET /healthz HTTP/1.1\r\nX: a\0b\r\n{close}\r\n"), "400"),
        ("a header folded", format!("GET /healthz HTTP/1.1\r\nX: a\r\n b\r\n{close}\r\n"), "400"),
        ("a length that is no number", format!("POST /v1/exchange HTTP/1.1\r\nContent-Length: ten\r\n{close}\r\n"), "400"),
        (
            "two lengths",
            format!("POST /v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 50\r\n{close}\r\n{smuggled}"),
            "400",
        ),
        ("a length of 2^64", format!("POST /v1/exchange HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n{close}\r\n"), "400"),
    ];
    for (what, request, status) in rows {
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with("HTTP/1.0 426"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what} is answered more than once: {answer}");
    }
    assert!(peak.growth() < TOLERATED, "requests of no form hold {} bytes", peak.growth());
}

#[tokio::test]
async fn a_token_counts_where_it_may_stand_and_is_found_in_no_log() {
    let server = TestServer::start_with(&["--log-level", "trace"]).await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let proof = Some(keys.proof(&ada.hello, keys.account, PURPOSE_ISSUE_TOKEN));
    let token = ada.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;
    let places = [
        ("the query", upgrade(&format!("/v1/ws?token={token}"), SUBPROTOCOL), "400"),
        ("a ticket's place", upgrade(&format!("/v1/ws?ticket={token}"), SUBPROTOCOL), "400"),
        ("the path", upgrade(&format!("/v1/ws/{token}"), SUBPROTOCOL), "404"),
        ("basic authentication", upgrade("/v1/ws", &format!("{SUBPROTOCOL}Authorization: Basic {token}\r\n")), "400"),
        (
            "two places",
            upgrade(
                "/v1/ws",
                &format!("Sec-WebSocket-Protocol: sovereign.v1, sovereign.token.{token}\r\nAuthorization: Bearer {token}\r\n"),
            ),
            "400",
        ),
    ];
    for (place, request, status) in places {
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{place}: {answer}");
        assert!(!answer.contains(&token), "{place}: the token comes back");
    }
    // A cookie is never a credential: whoever brings one stays a guest, whose first request ends the connection.
    let mut stream = tls(&server).await;
    let more = format!("{SUBPROTOCOL}Cookie: token={token}; sovereign.token={token}\r\n");
    stream.write_all(upgrade("/v1/ws", &more).as_bytes()).await.expect("the server reads");
    let list_devices = [0x82, 0x87, 0, 0, 0, 0, 0x08, 1, 0x12, 3, 0xa2, 1, 0];
    stream.write_all(&list_devices).await.expect("the server reads");
    let mut all = Vec::new();
    let mut stream = stream.take(64 << 10);
    within("the end", async {
        while !all.windows(4).any(|window| window[0] == 0x88 && window[2..] == 4006u16.to_be_bytes()) {
            assert_ne!(stream.read_buf(&mut all).await.expect("the server closes in order"), 0, "closed without 4006");
        }
    })
    .await;
    assert!(server.log().contains("TRACE") || server.log().contains("DEBUG"), "the log is as talkative as it can be");
    assert!(!server.log().contains(&token), "the token stands in the log");
}

#[tokio::test]
async fn a_token_that_is_not_good_opens_nothing_and_says_nothing_about_why() {
    let mut server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let proof = Some(keys.proof(&ada.hello, keys.account, PURPOSE_ISSUE_TOKEN));
    let token = ada.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;
    let ticket = secret::ticket().to_string();
    let changed = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("ASCII")
    };
    let foreign = secret::token().to_string();
    let rows = [
        ("of the right form and unknown", foreign, None),
        ("with another first character", changed(5), None),
        ("with another character in the middle", changed(25), None),
        ("cut", token[..token.len() - 1].to_owned(), Some(400)),
        ("longer", format!("{token}A"), Some(400)),
        ("in other letters", token.to_ascii_uppercase(), Some(400)),
        ("without its prefix", token[5..].to_owned(), Some(400)),
        ("a ticket", ticket, Some(400)),
        ("a wildcard", "sovt_%".to_owned(), Some(400)),
    ];
    for (what, carried, status) in &rows {
        match Raw::connect_with(&server, crate::harness::raw::Carry::Header(carried)).await {
            Ok(mut raw) => {
                assert_eq!(*status, None, "{what} is taken for a token");
                assert_eq!(raw.ended().await.code, Some(4002), "{what}");
            }
            Err(refused) => assert_eq!(Some(refused), *status, "{what}"),
        }
    }
    server.terminate().await;
    server.set_arguments(&["--clock-offset-seconds", "2600000"]);
    server.restart().await;
    let mut late = Raw::connect_with(&server, crate::harness::raw::Carry::Header(&token)).await.expect("the form is good");
    assert_eq!(late.ended().await.code, Some(4002), "its thirty days are over");
}

#[tokio::test]
async fn one_address_gets_its_share_whatever_it_says_of_itself_and_others_get_theirs() {
    // An exchange session takes two places, its own and that of the connection that carries it: its unit tests count them.
    let arguments = ["--connections-per-address-max", "4", "--authentication-deadline-seconds", "120"];
    let server = TestServer::over(Carrier::WebSocket, &arguments).await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Raw::connect(&server).await);
    }
    for header in ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Real-IP: 192.0.2.7", "True-Client-IP: 192.0.2.7"]
    {
        let mut stream = TcpStream::connect(&server.address).await.expect("the kernel takes it");
        let _closed = stream.write_all(format!("GET / HTTP/1.1\r\n{header}\r\n\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _closed = within("the end", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "{header} gets a place");
    }
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("a socket");
    elsewhere.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127/8 is this machine");
    let stream = elsewhere.connect(server.address.parse().expect("an address")).await.expect("the server listens");
    let mut stream = tls_on(&server, stream).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("the server reads");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.expect("an orderly end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    ada.call(PingRequest { client_time_ms: 0 }).await.expect("who was there goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_cost_little_until_they_say_who_they_are() {
    let server = TestServer::start_with(&["--authentication-deadline-seconds", "60"]).await;
    // What the first connections bring about is not theirs.
    for _ in 0..20 {
        Raw::connect(&server).await;
    }
    let peak = Peak::of(&server);
    let mut guests = Vec::new();
    for _ in 0..400 {
        guests.push(Raw::connect(&server).await);
    }
    let each = peak.growth() / guests.len();
    println!("a guest costs {each} bytes at most");
    assert!(each < 48 << 10, "a guest costs {each} bytes; 24 KiB are meant, and an allocator takes its share");
}
