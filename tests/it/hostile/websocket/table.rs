//! The cases: what a client sends, and what has to come back.

use super::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, Length, PING, PONG, Said, TEXT, close, frame, frame_with, head_of, ping_request,
    ping_request_of,
};

/// What has to follow.
pub enum Then {
    /// Exactly this, and the connection goes on.
    Goes(Vec<Said>),
    /// A close frame with this code and nothing before it, then the end, in order. Nothing behind the offence is done.
    Closes(u16),
    /// The client's own close comes back like this, then the end.
    Echoes(Option<u16>),
}

/// One case: its name, what is sent (each piece flushed for itself), and what follows.
pub struct Case {
    pub name: String,
    pub sent: Vec<Vec<u8>>,
    pub then: Then,
}

fn case(name: impl Into<String>, sent: Vec<u8>, then: Then) -> Case {
    Case { name: name.into(), sent: vec![sent], then }
}

fn goes(name: &str, sent: Vec<u8>, said: Vec<Said>) -> Case {
    case(name, sent, Then::Goes(said))
}

fn closes(name: impl Into<String>, sent: Vec<u8>, code: u16) -> Case {
    case(name, sent, Then::Closes(code))
}

/// A request as a message in fragments.
fn fragments(request: &[u8], lengths: &[usize], between: &[u8]) -> Vec<u8> {
    let (mut sent, mut rest) = (Vec::new(), request);
    for (index, length) in lengths.iter().enumerate() {
        let (part, further) = rest.split_at(*length);
        let opcode = if index == 0 { BINARY } else { CONTINUATION };
        let fin = if index + 1 == lengths.len() { FIN } else { 0 };
        sent.extend(frame(fin | opcode, part));
        if fin == 0 {
            sent.extend(between);
        }
        rest = further;
    }
    assert!(rest.is_empty(), "the fragments are the whole request");
    sent
}

fn request(id: u64) -> Vec<u8> {
    frame(FIN | BINARY, &ping_request(id))
}

/// RFC 6455, sections 5.2 to 5.6: what is allowed.
pub fn allowed() -> Vec<Case> {
    let (whole, answer) = (ping_request(9), |payload: &[u8]| Said::Pong(payload.to_vec()));
    let length = whole.len();
    let ones = vec![1; length];
    let long = [b'x'; 125];
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let answers = |count: usize, payload: &[u8]| vec![answer(payload); count];
    vec![
        goes("a message", request(9), vec![Said::Answer(9)]),
        goes("two messages in one write", [request(9), request(10)].concat(), vec![Said::Answer(9), Said::Answer(10)]),
        goes("the mask 0", frame_with(FIN | BINARY, &whole, Length::Shortest, Some([0; 4])), vec![Said::Answer(9)]),
        goes("a mask of ones", frame_with(FIN | BINARY, &whole, Length::Shortest, Some([0xff; 4])), vec![Said::Answer(9)]),
        goes("two fragments", fragments(&whole, &[3, length - 3], b""), vec![Said::Answer(9)]),
        goes("fragments of a byte", fragments(&whole, &ones, b""), vec![Said::Answer(9)]),
        goes("an empty first fragment", fragments(&whole, &[0, length], b""), vec![Said::Answer(9)]),
        goes("an empty fragment between", fragments(&whole, &[3, 0, 0, length - 3], b""), vec![Said::Answer(9)]),
        goes("an empty last fragment", fragments(&whole, &[length, 0], b""), vec![Said::Answer(9)]),
        goes("a ping", ping(b"hello"), vec![answer(b"hello")]),
        goes("an empty ping", ping(b""), vec![answer(b"")]),
        goes("the longest ping", ping(&long), vec![answer(&long)]),
        goes("a ping of bytes that are no text", ping(&[0, 0xff, 0xfe]), vec![answer(&[0, 0xff, 0xfe])]),
        goes("ten pings in one write", ping(b"p").repeat(10), answers(10, b"p")),
        goes("a pong nobody asked for", [frame(FIN | PONG, b"?"), request(9)].concat(), vec![Said::Answer(9)]),
        goes("an empty pong nobody asked for", [frame(FIN | PONG, b""), request(9)].concat(), vec![Said::Answer(9)]),
        goes(
            "a ping between two fragments",
            fragments(&whole, &[3, length - 3], &ping(b"now")),
            vec![answer(b"now"), Said::Answer(9)],
        ),
        goes(
            "pings and pongs between all fragments",
            fragments(&whole, &ones, &[ping(b"p"), frame(FIN | PONG, b"q")].concat()),
            [answers(length - 1, b"p"), vec![Said::Answer(9)]].concat(),
        ),
        Case {
            name: "every byte in a record of its own".to_owned(),
            sent: [ping(b"slow"), request(9)].concat().chunks(1).map(<[u8]>::to_vec).collect(),
            then: Then::Goes(vec![answer(b"slow"), Said::Answer(9)]),
        },
        Case {
            name: "a head in two records".to_owned(),
            sent: vec![request(9)[..1].to_vec(), request(9)[1..].to_vec()],
            then: Then::Goes(vec![Said::Answer(9)]),
        },
    ]
}

/// Section 5.2: lengths around the places where another form begins, and up to the limit.
pub fn lengths(limit: usize) -> Vec<Case> {
    let edges = [100, 124, 125, 126, 127, 128, 1000, 65_534, 65_535, 65_536, 65_537, limit - 1, limit];
    let whole = edges.map(|length| {
        let sent = frame(FIN | BINARY, &ping_request_of(9, length));
        case(format!("{length} bytes"), sent, Then::Goes(vec![Said::Answer(9)]))
    });
    let halves = [126 * 2, 65_536 * 2, limit].map(|length| {
        let sent = fragments(&ping_request_of(9, length), &[length / 2, length - length / 2], b"");
        case(format!("{length} bytes in halves"), sent, Then::Goes(vec![Said::Answer(9)]))
    });
    let above = vec![
        closes("a byte above the limit", frame(FIN | BINARY, &vec![0; limit + 1]), 1009),
        closes("a head that claims a byte above the limit", head_of(FIN | BINARY, limit as u64 + 1), 1009),
        closes("a head that claims 1 GiB", head_of(FIN | BINARY, 1 << 30), 1009),
        closes("a head that claims 2^63 - 1", head_of(FIN | BINARY, u64::MAX >> 1), 1009),
        closes("a head that claims 2^63, which no length may", head_of(FIN | BINARY, 1 << 63), 1009),
        closes("a head that claims 2^64 - 1", head_of(FIN | BINARY, u64::MAX), 1009),
        closes("a continuation that claims 1 GiB", [frame(BINARY, b"x"), head_of(FIN | CONTINUATION, 1 << 30)].concat(), 1009),
        closes(
            "fragments that add up to a byte above the limit",
            [frame(BINARY, &vec![0; limit / 2]), frame(CONTINUATION, &vec![0; limit / 2]), frame(FIN | CONTINUATION, &[0; 2])]
                .concat(),
            1009,
        ),
    ];
    whole.into_iter().chain(halves).chain(above).collect()
}

/// Sections 5.1 to 5.5: what is not. A request stands behind each, which is not answered.
pub fn forbidden() -> Vec<Case> {
    let whole = ping_request(9);
    let mut cases = Vec::new();
    for bits in 1..8 {
        for (what, opcode) in [("message", BINARY), ("ping", PING), ("close", CLOSE)] {
            cases.push(closes(format!("reserved bits {bits:03b} of a {what}"), frame(FIN | bits << 4 | opcode, b""), 1002));
        }
    }
    cases.push(closes("a reserved bit of a fragment", [frame(BINARY, b"x"), frame(FIN | 0x40, b"y")].concat(), 1002));
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push(closes(format!("reserved opcode {opcode:x}"), frame(FIN | opcode, b""), 1002));
        cases.push(closes(format!("reserved opcode {opcode:x} with a payload"), frame(FIN | opcode, b"payload"), 1002));
    }
    for (what, opcode) in [("message", BINARY), ("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        let unmasked = frame_with(FIN | opcode, b"", Length::Shortest, None);
        cases.push(closes(format!("a {what} without a mask"), unmasked, 1002));
    }
    for (what, opcode) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        cases.push(closes(format!("a {what} in fragments"), frame(opcode, b""), 1002));
        cases.push(closes(format!("a {what} of 126 bytes"), frame(FIN | opcode, &[0; 126]), 1002));
        cases.push(closes(format!("a {what} that claims 2^40 bytes"), head_of(FIN | opcode, 1 << 40), 1002));
        let sixteen = frame_with(FIN | opcode, &[3, 0xe8], Length::Sixteen, Some([1; 4]));
        cases.push(closes(format!("a {what} of 2 bytes in sixteen bits"), sixteen, 1002));
    }
    for (length, form, bits) in
        [(5, Length::Sixteen, 16), (125, Length::Sixteen, 16), (5, Length::SixtyFour, 64), (126, Length::SixtyFour, 64)]
    {
        let sent = frame_with(FIN | BINARY, &vec![0; length], form, Some([1; 4]));
        cases.push(closes(format!("{length} bytes written in {bits} bits"), sent, 1002));
    }
    let begun = frame(BINARY, &whole[..2]);
    cases.extend([
        closes("a continuation of nothing", frame(FIN | CONTINUATION, &whole), 1002),
        closes("the beginning of a continuation of nothing", frame(CONTINUATION, &whole), 1002),
        closes("a continuation behind a whole message", [frame(FIN | CONTINUATION, b"x")].concat(), 1002),
        closes("a message within a message", [begun.clone(), frame(FIN | BINARY, &whole)].concat(), 1002),
        closes("a beginning within a message", [begun.clone(), frame(BINARY, &whole)].concat(), 1002),
        closes("text within a message", [begun, frame(FIN | TEXT, b"x")].concat(), 1002),
        closes("text", frame(FIN | TEXT, b"hello"), 1003),
        closes("no text", frame(FIN | TEXT, b""), 1003),
        closes("text in fragments", [frame(TEXT, b"hel"), frame(FIN | CONTINUATION, b"lo")].concat(), 1003),
        closes("text cut within a character", [frame(TEXT, b"\xc3"), frame(FIN | CONTINUATION, b"\xa9")].concat(), 1003),
        closes("text that is no UTF-8", frame(FIN | TEXT, b"\xff"), 1007),
        closes("text that is no UTF-8 in its second fragment", [frame(TEXT, b"a"), frame(FIN, b"\xfe")].concat(), 1007),
        closes("text that ends within a character", frame(FIN | TEXT, b"\xc3"), 1007),
        closes("text with a surrogate", frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        closes("text in an overlong form", frame(FIN | TEXT, b"\xc0\xaf"), 1007),
        closes("text beyond Unicode", frame(FIN | TEXT, b"\xf4\x90\x80\x80"), 1007),
    ]);
    cases
}

/// Sections 5.5.1 and 7.4: closes of the client.
pub fn closing() -> Vec<Case> {
    let echoes = |name: String, sent: Vec<u8>, code: Option<u16>| case(name, sent, Then::Echoes(code));
    let mut cases = vec![
        echoes("a close without a code".to_owned(), frame(FIN | CLOSE, b""), None),
        echoes("a close with a reason".to_owned(), close(1000, "adiós".as_bytes()), Some(1000)),
        echoes("a close with the longest reason".to_owned(), close(1000, &[b'x'; 123]), Some(1000)),
        echoes("a close within a message".to_owned(), [frame(BINARY, b"x"), close(1000, b"")].concat(), Some(1000)),
        echoes("two closes".to_owned(), close(1000, b"").repeat(2), Some(1000)),
        closes("half a close code", frame(FIN | CLOSE, &[3]), 1002),
        closes("a close reason that is no UTF-8", close(1000, b"\xff"), 1007),
        closes("a close reason cut within a character", close(1000, b"\xe2\x82"), 1007),
        closes("a close reason with a surrogate", close(1000, b"\xed\xa0\x80"), 1007),
        closes("a close of 126 bytes", close(1000, &[b'x'; 124]), 1002),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        cases.push(echoes(format!("the close code {code}"), close(code, b""), Some(code)));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65_535] {
        cases.push(closes(format!("the close code {code}, which may not travel"), close(code, b""), 1002));
    }
    cases
}
