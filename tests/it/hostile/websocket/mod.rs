//! RFC 6455 against the server's own binary: every frame that is allowed is understood, every other one is answered by a
//! close frame, and every connection ends in order.

mod table;
mod wire;

use self::{
    table::{Case, Then},
    wire::{BINARY, FIN, Said, Wire, close, frame, ping_request},
};
use super::memory::{Peak, TOLERATED};
use crate::harness::{Raw, TestServer, raw::Keys};

/// The id of the request that shows whether a connection goes on.
const LATER: u64 = 4711;

/// Runs one case on a connection of its own; what went wrong, if anything.
async fn run(server: &TestServer, device: Option<&Keys>, case: &Case) -> Option<String> {
    let mut wire = match device {
        Some(keys) => Wire::sign_in(server, keys).await,
        None => Wire::connect(server).await,
    };
    for piece in &case.sent {
        wire.write(piece).await;
    }
    wire.write(&frame(FIN | BINARY, &ping_request(LATER))).await;
    let (wanted, own) = match &case.then {
        Then::Goes(said) => {
            let mut wanted = said.clone();
            wanted.push(Said::Answer(LATER));
            (wanted, None)
        }
        Then::Closes(code) => (vec![Said::Close(Some(*code))], Some(*code)),
        Then::Echoes(code) => (vec![Said::Close(*code)], None),
    };
    let mut heard = Vec::new();
    for _ in &wanted {
        heard.push(wire.said().await);
    }
    if heard != wanted {
        return Some(format!("{heard:?} instead of {wanted:?}"));
    }
    // The close handshake: the server's close is answered, or the client begins it.
    let mut end = Vec::new();
    if let Then::Goes(_) = case.then {
        wire.write(&close(1000, b"")).await;
        end.push((wire.said().await, Said::Close(Some(1000))));
    } else if let Some(code) = own {
        wire.write(&close(code, b"")).await;
    }
    end.push((wire.said().await, Said::End));
    let wrong = end.into_iter().find(|(heard, wanted)| heard != wanted);
    wrong.map(|(heard, wanted)| format!("ended with {heard:?} instead of {wanted:?}"))
}

async fn run_all(server: &TestServer, device: Option<&Keys>, cases: &[Case]) {
    let peak = Peak::of(server);
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(run(server, device, case).await.map(|what| format!("{}: {what}", case.name)));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(peak.growth() < TOLERATED, "{} cases hold {} bytes", cases.len(), peak.growth());
    println!("{} cases, {} bytes at most", cases.len(), peak.growth());
}

#[tokio::test]
async fn every_frame_that_is_allowed_is_understood() {
    run_all(&TestServer::start().await, None, &table::allowed()).await;
}

#[tokio::test]
async fn every_length_up_to_the_limit_is_taken_and_none_above() {
    let server = TestServer::start().await;
    let (ada, keys) = Raw::sign_up(&server, "ada").await;
    let limits = ada.hello.limits.expect("the limits are announced");
    run_all(&server, Some(&keys), &table::lengths(limits.frame as usize)).await;
}

#[tokio::test]
async fn a_guest_gets_its_smaller_limit() {
    let server = TestServer::start().await;
    let limits = Wire::connect(&server).await.hello.limits.expect("the limits are announced");
    let limit = limits.frame_before_authentication as usize;
    let cases = table::lengths(limit).into_iter().filter(|case| case.sent[0].len() < limit * 2).collect::<Vec<_>>();
    run_all(&server, None, &cases).await;
}

#[tokio::test]
async fn every_frame_that_breaks_the_rules_is_answered_by_a_close_frame_and_an_orderly_end() {
    run_all(&TestServer::start().await, None, &table::forbidden()).await;
}

#[tokio::test]
async fn every_close_of_a_client_is_answered_and_every_bad_one_refused() {
    run_all(&TestServer::start().await, None, &table::closing()).await;
}
