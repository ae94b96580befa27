//! Who may do what: every request of the service block, by every kind of caller, about what is its own, what is
//! somebody else's and what does not exist. A refusal changes nothing and tells nobody, and what a caller may not see
//! answers in the same bytes as what does not exist.

mod asks;
mod books;
mod cast;
mod table;

use prost::Message as _;
use sovereign_proto::v1::{Envelope, Failure, FailureCode, Hello, PingRequest, Response, envelope, push, response};

pub use self::books::Books;
use self::{
    cast::{Cast, Role, Whose},
    table::{Row, rows},
};
use crate::harness::Raw;

/// Requests whose effect gets in the way of others; they are asked last, in this order.
const LAST: [&str; 11] = [
    "SubmitCommit",
    "Propose",
    "LeaveGroup",
    "ChangePassword",
    "SignOut",
    "EndSession",
    "RevokeInvite",
    "RevokeDevice",
    "ResetPassword",
    "SetAccountEnabled",
    "DeleteAccount",
];

impl Row {
    /// The table's letters for a caller: own, other's, non-existent.
    fn letters(&self, role: Role) -> [char; 3] {
        let columns: Vec<&str> = self.answers.split_whitespace().filter(|column| *column != "|").collect();
        assert_eq!(columns.len(), Role::ALL.len(), "{} has an answer for everybody", self.request);
        let column = columns[Role::ALL.iter().position(|other| *other == role).expect("a column for each role")];
        match column.chars().collect::<Vec<_>>()[..] {
            [own, others, nobodys] => [own, others, nobodys],
            [all] => [all; 3],
            _ => panic!("{} about {}: {column:?} is neither one letter nor three", self.request, self.names),
        }
    }

    /// Whether the row names a thing at all: otherwise there is one case.
    fn cases(&self) -> &'static [Whose] {
        if self.names == "nothing" { &Whose::ALL[..1] } else { &Whose::ALL }
    }
}

/// What came back: the letter of the table, and the bytes.
struct Answered {
    letter: char,
    text: String,
    bytes: Vec<u8>,
}

fn answered(envelope: Envelope) -> Answered {
    let mut body = envelope.body.expect("an answer has a body");
    if let envelope::Body::Response(Response { body: Some(response::Body::WatchPresence(watched)) }) = &mut body {
        // Counts what this connection was told, and so tells of nobody.
        watched.number = 0;
    }
    let (letter, text) = match &body {
        envelope::Body::Response(_) => ('D', String::new()),
        envelope::Body::Failure(failure) => (letter(failure), failure.message.clone()),
        _ => panic!("neither response nor failure"),
    };
    Answered { letter, text, bytes: Envelope { request_id: 0, body: Some(body) }.encode_to_vec() }
}

fn letter(failure: &Failure) -> char {
    match failure.code() {
        FailureCode::Unauthenticated => 'U',
        FailureCode::Forbidden => 'F',
        FailureCode::NotFound => 'N',
        FailureCode::InvalidArgument => 'I',
        FailureCode::Conflict => 'C',
        _ => '?',
    }
}

impl Cast {
    /// Asks as this caller.
    async fn asked(&mut self, row: &Row, role: Role, whose: Whose) -> Answered {
        match role {
            Role::Operator => {
                let body = self.ask(row, role, whose, &Hello::default());
                answered(self.operator.ask(body).await)
            }
            Role::Guest => {
                let mut raw = Raw::connect(&self.server).await;
                let body = self.ask(row, role, whose, &raw.hello.clone());
                let id = raw.send_body(body).await;
                let answer = answered(raw.answer_to(id).await.expect("a guest is answered"));
                if answer.letter == 'U' {
                    let code = raw.ended().await.code;
                    assert!(matches!(code, Some(4002 | 4006)), "{} by a guest ended with {code:?}", row.request);
                }
                answer
            }
            Role::Disabled | Role::Revoked => self.behind_a_sign_in(row, role, whose).await,
            _ => {
                let hello = self.connection(role).hello.clone();
                let body = self.ask(row, role, whose, &hello);
                let raw = self.connection(role);
                let id = raw.send_body(body).await;
                let ended = |ended| panic!("{} about {} ended {role:?}'s connection: {ended:?}", row.request, row.names);
                answered(raw.answer_to(id).await.unwrap_or_else(ended))
            }
        }
    }

    /// A sign-in that is refused, with the request right behind it: nothing of it is done.
    async fn behind_a_sign_in(&mut self, row: &Row, role: Role, whose: Whose) -> Answered {
        let mut raw = Raw::connect(&self.server).await;
        let keys = if role == Role::Revoked { &self.revoked } else { &self.disabled };
        let sign_in = raw.sign_in_request(keys);
        let body = self.ask(row, role, whose, &raw.hello.clone());
        let first = raw.send(sign_in).await;
        raw.send_body(body).await;
        let refused = answered(raw.answer_to(first).await.expect("the sign-in is answered"));
        if let Ok(further) = raw.any_answer().await {
            return answered(further);
        }
        refused
    }

    /// Asks a row's cases whose letters are chosen, and compares; how many they were.
    async fn go_through(&mut self, row: &Row, role: Role, chosen: fn(char) -> bool, wrong: &mut Wrong) -> usize {
        let mut answers = Vec::new();
        for (whose, wanted) in row.cases().iter().zip(row.letters(role)).filter(|(_, wanted)| chosen(*wanted)) {
            let answer = self.asked(row, role, *whose).await;
            if row.names == "a group" {
                self.settle(role, *whose, row.request == "SubmitCommit" && answer.letter == 'D');
            }
            wrong.check(row, role, *whose, wanted, &answer);
            answers.push((*whose, answer));
        }
        wrong.compare(row, role, &answers);
        answers.len()
    }

    /// The caller's connection.
    fn connection(&mut self, role: Role) -> &mut Raw {
        if role == Role::Pending { &mut self.pending } else { &mut self.part(role).person.raw }
    }

    /// What others were told that means something has happened.
    async fn news(&mut self) -> Vec<String> {
        let Self { ada, parts, nina, pending, .. } = self;
        let people = parts.iter_mut().map(|(role, part)| (format!("{role:?}"), &mut part.person.raw));
        let others =
            [("Ada".to_owned(), &mut ada.person.raw), ("Nina".to_owned(), &mut nina.raw), ("Pending".to_owned(), pending)];
        let mut news = Vec::new();
        for (name, raw) in people.chain(others) {
            for _ in 0..10 {
                raw.call(PingRequest { client_time_ms: 0 }).await.expect("nobody is cut off");
            }
            let told = raw.waiting_pushes().filter_map(|push| kind(&push));
            news.extend(told.map(|kind| format!("{name} was told of {kind}")));
        }
        news
    }
}

/// Pushes that only come when something is done; presence and receipts come in their own time.
fn kind(push: &push::Body) -> Option<&'static str> {
    match push {
        push::Body::Entries(_) => Some("entries"),
        push::Body::Closing(_) => Some("its end"),
        push::Body::KeyPackageStock(_) => Some("its key packages"),
        push::Body::CommitNeeded(_) => Some("a commit that is needed"),
        push::Body::DeviceStateChanged(_) => Some("a device"),
        push::Body::Signal(_) => Some("a signal"),
        push::Body::RelationChanged(_) => Some("a relation"),
        _ => None,
    }
}

/// All that went other than the table says, so that one run tells everything.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn check(&mut self, row: &Row, role: Role, whose: Whose, wanted: char, answer: &Answered) {
        let letter = if wanted == 'E' && answer.letter == 'D' { 'E' } else { answer.letter };
        if letter != wanted {
            self.note(row, role, &format!("{whose:?}: {wanted} in the table, {letter} answered"), &answer.text);
        }
    }

    fn note(&mut self, row: &Row, role: Role, what: &str, more: &str) {
        self.0.push(format!("{} about {}, {role:?}: {what}\n  {more}", row.request, row.names));
    }

    /// Other's and non-existent in the same bytes, where the table says that they are the same.
    fn compare(&mut self, row: &Row, role: Role, answers: &[(Whose, Answered)]) {
        let [.., (_, others), (_, nobodys)] = answers else { return };
        let [_, wanted, same] = row.letters(role);
        if wanted == same && wanted != 'D' && others.bytes != nobodys.bytes {
            let more = format!("{:?}, and {:?}", others.text, nobodys.text);
            self.note(row, role, "says of somebody else's and of nobody's not the same", &more);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_answers_every_caller_as_the_table_says_and_a_refusal_has_no_effect() {
    let mut cast = Cast::assemble().await;
    let (mut rows, mut wrong, mut asked) = (rows(), Wrong::default(), 0);

    let books = Books::open(&cast.server);
    cast.news().await;
    let mut before = books.copy();
    for role in Role::ALL {
        for row in &rows {
            asked += cast.go_through(row, role, |wanted| !matches!(wanted, 'D' | 'E' | '-'), &mut wrong).await;
            let after = books.copy();
            if before != after {
                wrong.note(row, role, "is refused and leaves", &before.differences(&after).join("\n  "));
                before = after;
            }
        }
    }
    let news = cast.news().await;
    assert!(news.is_empty(), "refusals are told to others: {news:?}\n{}", wrong.0.join("\n"));

    rows.sort_by_key(|row| LAST.iter().position(|last| *last == row.request));
    // The operator ends what the others need.
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Operator).chain([Role::Operator]) {
        for row in &rows {
            asked += cast.go_through(row, role, |wanted| matches!(wanted, 'D' | 'E'), &mut wrong).await;
        }
    }
    println!("{asked} cases in {} rows", rows.len());
    assert!(wrong.0.is_empty(), "{} of {asked} cases:\n{}", wrong.0.len(), wrong.0.join("\n"));
    assert!(asked > 1000, "only {asked} cases were asked");
}
