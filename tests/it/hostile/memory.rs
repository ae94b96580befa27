//! What one member can make the server hold: measured as the peak of its resident memory.

use std::{collections::BTreeSet, fs};

use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, FetchEntriesRequest, FetchEntriesResponse, envelope, request};

use crate::harness::{
    Carrier, TestServer,
    scene::{Seat, pair, send_request},
};

over_both!(a_reader_that_stops_and_goes_on_asking_holds_little);

/// Noise of allocator, caches and threads.
pub const TOLERATED: usize = 24 << 20;

/// The peak of a server's memory from some moment on.
pub struct Peak {
    status: String,
    before: usize,
}

impl Peak {
    pub fn of(server: &TestServer) -> Self {
        let process = format!("/proc/{}", server.pid());
        fs::write(format!("{process}/clear_refs"), "5").expect("the peak can be reset");
        let status = format!("{process}/status");
        let before = bytes(&status, "VmRSS:");
        Self { status, before }
    }

    pub fn growth(&self) -> usize {
        bytes(&self.status, "VmHWM:").saturating_sub(self.before)
    }
}

/// Bytes of a server that are resident now.
pub fn resident(server: &TestServer) -> usize {
    bytes(&format!("/proc/{}/status", server.pid()), "VmRSS:")
}

fn bytes(status: &str, field: &str) -> usize {
    let status = fs::read_to_string(status).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number");
    kilobytes * 1024
}

async fn fill(seat: &mut Seat, messages: usize, length: usize) {
    let text = "x".repeat(length);
    for _ in 0..messages {
        seat.person.send(&mut seat.group, &text).await;
    }
}

#[tokio::test]
async fn a_small_message_in_a_large_frame_is_all_that_is_kept_of_it() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    fill(&mut ada, 10, 100).await;
    let peak = Peak::of(&server);
    for number in 0..60 {
        let message = ada.person.member.message(&mut ada.group, "small");
        let body = Some(request::Body::SendMessage(send_request(&id, message)));
        let body = Some(envelope::Body::Request(v1::Request { body }));
        let mut frame = Envelope { request_id: 1000 + number, body }.encode_to_vec();
        // An unknown field: a newer client's, as far as the server knows.
        prost::encoding::encode_key(200, prost::encoding::WireType::LengthDelimited, &mut frame);
        prost::encoding::encode_varint(1_000_000, &mut frame);
        frame.resize(frame.len() + 1_000_000, 7);
        ada.person.raw.frame(frame).await;
        let answer = ada.person.raw.any_answer().await.expect("an answer");
        assert!(matches!(answer.body, Some(envelope::Body::Response(_))), "the message is taken");
    }
    assert!(peak.growth() < TOLERATED, "60 small messages hold {} bytes", peak.growth());
}

#[tokio::test]
async fn a_page_backward_is_as_bounded_as_one_forward_and_leads_through_the_whole_log() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    fill(&mut ada, 60, 60_000).await;
    let id = ada.group.group_id().to_vec();
    let frame = ada.person.raw.hello.limits.as_ref().expect("announced").frame as usize;
    let (mut from_seq, mut seen, mut more) = (u64::MAX, BTreeSet::new(), true);
    while more {
        let request = FetchEntriesRequest { group_id: id.clone().into(), from_seq, backward: true, limit: 0 };
        let page: FetchEntriesResponse = bob.person.raw.call(request).await.expect("a page");
        assert!(page.encoded_len() <= frame, "a page of {} bytes", page.encoded_len());
        assert!(page.entries.iter().all(|entry| entry.seq < from_seq && seen.insert(entry.seq)), "each entry once");
        from_seq = page.entries.last().expect("a page holds something").seq;
        more = page.more;
    }
    // Bob's window begins behind the commit that added him, which is entry 1.
    assert_eq!(seen, (2..62).collect());
}

async fn a_reader_that_stops_and_goes_on_asking_holds_little(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    fill(&mut ada, 60, 60_000).await;
    let id = ada.group.group_id().to_vec();
    let peak = Peak::of(&server);
    let mut asked = Vec::new();
    for number in 0..256 {
        let request = FetchEntriesRequest { group_id: id.clone().into(), from_seq: 1000, backward: number % 2 == 0, limit: 0 };
        let forward = FetchEntriesRequest { from_seq: 1, ..request.clone() };
        asked.push(bob.person.raw.send(if request.backward { request } else { forward }).await);
    }
    // Ada is served meanwhile, which is time enough for Bob's answers to pile up.
    fill(&mut ada, 200, 100).await;
    assert!(peak.growth() < TOLERATED, "a stopped reader holds {} bytes", peak.growth());
    for id in asked {
        bob.person.raw.answer::<FetchEntriesRequest>(id).await.expect("every request is answered in the end");
    }
}
