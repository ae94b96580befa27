//! What decoding costs, counted by an allocator: at most six times the input at once besides a fixed part, and no more
//! steps than grow with its size.

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};
use sovereign::codec;
use sovereign_fuzz_targets::{TARGETS, Target, corpus, requests, target};

/// Bytes that decoding may hold at once for each byte of the input.
const PEAK_PER_BYTE: u64 = 6;
/// And besides: the fields of one request, as structs, at most (`limits::FIELDS_PER_REQUEST`).
const PEAK_FIXED: u64 = 160 * 1024;
/// The fixed part of what openmls reads: everything that is counted in advance, as structs.
const PEAK_FIXED_OF_HANDSHAKES: u64 = 4 * 1024 * 1024;

/// The decoders whose cost is their own: sessions, connections and HTTP hold what they hold besides.
fn decoders() -> impl Iterator<Item = Target> {
    TARGETS.iter().copied().filter(|target| !["web", "client", "session", "config"].contains(&target.name))
}

fn fixed(target: &Target) -> u64 {
    if ["key_package", "group_info", "proposal", "commit"].contains(&target.name) { PEAK_FIXED_OF_HANDSHAKES } else { PEAK_FIXED }
}

fn cost(target: &Target, input: &[u8]) -> AllocationInfo {
    // What is made once for all inputs is no cost of this one.
    (target.run)(&[]);
    measure(|| (target.run)(input))
}

#[track_caller]
fn bounded(target: &Target, what: &str, input: &[u8]) {
    let peak = cost(target, input).bytes_max;
    let most = PEAK_PER_BYTE * input.len() as u64 + fixed(target);
    assert!(peak <= most, "{}: {what}: {} bytes take {peak}, {most} at most", target.name, input.len());
}

/// Inputs that are small where they stand and large where they are read.
fn shapes(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let many = |token: &[u8]| token.repeat(size / token.len());
    vec![
        ("empty submessages", many(&[0x2a, 0])),
        ("zeros", many(&[0])),
        ("groups", many(&[0x0b])),
        ("overlong varints", many(&[0xff; 11])),
        ("a length of 2^31", many(&[0x12, 0x80, 0x80, 0x80, 0x80, 0x08])),
        ("a length of 2^64-1", many(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])),
        ("letters", many(b"a")),
        ("lines", many(b"a=1\n")),
        ("lists", many(b"[")),
        ("nesting", nested(size)),
    ]
}

/// Submessages within submessages, as many as fit; 100,000 and more from 700,000 bytes on.
fn nested(size: usize) -> Vec<u8> {
    let mut inner: Vec<Vec<u8>> = Vec::new();
    let mut length = 0;
    while length + 8 < size {
        let mut head = vec![0x12];
        encode_varint(length as u64, &mut head);
        length += head.len();
        inner.push(head);
    }
    inner.into_iter().rev().flatten().collect()
}

/// A shape where a request's fields, or those of a message within it, should be.
fn within_a_request(field: u32, shape: &[u8], deeper: bool) -> Vec<u8> {
    let wrap = |tag, bytes: &[u8]| {
        let mut message = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut message);
        encode_varint(bytes.len() as u64, &mut message);
        message.extend_from_slice(bytes);
        message
    };
    let body = if deeper { wrap(field, &wrap(2, shape)) } else { wrap(field, shape) };
    [&[0x08, 7][..], &wrap(2, &body)].concat()
}

#[test]
fn no_decoder_takes_more_than_six_times_what_it_reads() {
    for target in decoders() {
        for (name, seed) in corpus::of(target.name) {
            bounded(&target, &name, &seed);
        }
        for size in [1 << 10, 1 << 14, 1 << 18, 1 << 20] {
            for (what, input) in shapes(size) {
                bounded(&target, what, &input);
            }
        }
    }
}

#[test]
fn no_request_takes_more_than_six_times_its_frame_whatever_stands_in_its_fields() {
    let envelope = target("envelope").expect("the target is listed");
    for size in [1 << 11, 1 << 14, 1 << 18, 1 << 20] {
        for (what, shape) in shapes(size) {
            for field in 1..=600 {
                for deeper in [false, true] {
                    // The largest ones for some fields only: what a field is makes little difference there.
                    if size > 1 << 14 && field % 97 != 0 && field != 50 {
                        continue;
                    }
                    bounded(&envelope, what, &within_a_request(field, &shape, deeper));
                }
            }
        }
    }
}

#[test]
fn a_hundred_and_thirty_thousand_empty_submessages_are_counted_and_not_made() {
    let envelope = target("envelope").expect("the target is listed");
    let frame = within_a_request(50, &[0x2a, 0].repeat(131_072), false);
    let cost = cost(&envelope, &frame);
    assert!(cost.bytes_max < 2 * frame.len() as u64, "{} bytes take {}", frame.len(), cost.bytes_max);
}

#[test]
fn every_request_cut_at_every_offset_is_refused() {
    let envelope = target("envelope").expect("the target is listed");
    for (name, frame) in requests::frames() {
        let whole = Bytes::from(frame.clone());
        let read = codec::decode(&whole);
        assert!(read.is_ok(), "{name}: {:?}", read.err());
        for cut in 0..frame.len() {
            assert!(codec::decode(&whole.slice(..cut)).is_err(), "{name} cut at {cut} was read");
            bounded(&envelope, &name, &frame[..cut]);
        }
    }
}

#[test]
fn decoding_takes_steps_in_proportion_to_the_size() {
    for target in decoders() {
        for ((what, small), (_, large)) in shapes(1 << 14).into_iter().zip(shapes(1 << 16)) {
            let (small, large) = (cost(&target, &small), cost(&target, &large));
            let bytes = (small.bytes_total, large.bytes_total);
            assert!(large.count_total <= 5 * small.count_total + 64, "{}: {what}: {small:?}, then {large:?}", target.name);
            assert!(bytes.1 <= 5 * bytes.0 + (1 << 16), "{}: {what}: {small:?}, then {large:?}", target.name);
        }
    }
}

/// TLS presentation language (RFC 9420, section 2.1.2).
fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a vector is short");
    let head = match length {
        0..=0x3f => vec![u8::try_from(length).expect("6 bits")],
        0x40..=0x3fff => (0x4000 | u16::try_from(length).expect("14 bits")).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    [&head, bytes].concat()
}

/// A `GroupInfo` of no group, with these nodes and extensions.
fn group_info(nodes: &[u8], extensions: &[u8]) -> Vec<u8> {
    let tree = vector(&vector(nodes));
    let context = [&[0, 1, 0, 1][..], &vector(&[0x5e; 32]), &[0; 8], &vector(&[0; 32]), &vector(&[0; 32]), &vector(&[])].concat();
    let extensions = vector(&[&[0, 2][..], &tree, extensions].concat());
    [&[0, 1, 0, 4][..], &context, &extensions, &vector(&[0; 32]), &[0; 4], &vector(&[0; 64])].concat()
}

/// A commit of no worth, with these proposals and this path.
fn commit(proposals: &[u8], path: &[u8]) -> Vec<u8> {
    let content = [&vector(proposals)[..], path].concat();
    let framed = [&vector(&[0x5e; 32])[..], &1_u64.to_be_bytes(), &[1, 0, 0, 0, 0], &vector(&[]), &[3], &content].concat();
    [&[0, 1, 0, 1][..], &framed, &vector(&[0; 64]), &vector(&[0; 32]), &vector(&[0; 32])].concat()
}

fn leaf_node(extensions: &[u8]) -> Vec<u8> {
    let capabilities = [[0_u8; 1]; 5].concat();
    let credential = [&[0, 1][..], &vector(&[1; 32])].concat();
    let source = [&[1][..], &[0; 16]].concat();
    [&vector(&[7; 32])[..], &vector(&[7; 32]), &credential, &capabilities, &source, &vector(extensions), &vector(&[0; 64])]
        .concat()
}

#[test]
fn masses_within_handshakes_are_counted_and_not_made() {
    let size = 1 << 20;
    let many = |token: &[u8]| token.repeat((size - 4096) / token.len());
    let by_name = |name: &str| target(name).expect("the target is listed");
    let bundle = |commit: &[u8], welcome: &[u8], info: &[u8]| {
        // Parts are short; what is larger stands last.
        sovereign_fuzz_targets::joined([commit, welcome, info])
    };
    let short = |token: &[u8]| token.repeat(60_000 / token.len());
    let parent = [&[1, 2][..], &vector(&[]), &vector(&[]), &vector(&[])].concat();
    let leaf = [&[1, 1][..], &leaf_node(&[])].concat();
    for (name, what, input) in [
        ("group_info", "blank nodes", group_info(&many(&[0]), &[])),
        ("group_info", "parents", group_info(&many(&parent), &[])),
        ("group_info", "leaves", group_info(&many(&leaf), &[])),
        ("group_info", "extensions", group_info(&leaf, &many(&[0xf0, 0x0f, 0]))),
        ("group_info", "extensions of a leaf", group_info(&[&[1, 1][..], &leaf_node(&many(&[0xf0, 0x0f, 0]))].concat(), &[])),
        ("commit", "references", bundle(&commit(&short(&[2, 0]), &[0]), &[], &[])),
        ("commit", "removals", bundle(&commit(&short(&[1, 0, 3, 0, 0, 0, 0]), &[0]), &[], &[])),
        ("commit", "path", bundle(&commit(&[], &[&[1][..], &leaf_node(&[]), &vector(&short(&[0, 0]))].concat()), &[], &[])),
        ("proposal", "references", commit(&many(&[2, 0]), &[0])),
        ("proposal", "removals", commit(&many(&[1, 0, 3, 0, 0, 0, 0]), &[0])),
        ("proposal", "path", commit(&[], &[&[1][..], &leaf_node(&[]), &vector(&many(&[0, 0]))].concat())),
    ] {
        bounded(&by_name(name), what, &input);
    }
}
