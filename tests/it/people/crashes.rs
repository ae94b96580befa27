//! The server dies again and again while people send: nothing acknowledged is missing, nothing is doubled.

use std::collections::BTreeMap;

use sovereign::entropy;
use sovereign_client::{Client, Error, Sent};
use tokio::task::JoinSet;

use crate::harness::{Home, TestServer, eventually, within};

/// SIGKILLs of the server. Raise it for a long night.
const KILLS: usize = 15;
/// Kills after which clients come back by themselves. Later they are closed with what they have outstanding and opened
/// anew, because their waits between two tries grow, as they should.
const KILLS_WAITED_OUT: usize = 3;
/// Messages of each person between two kills.
const MESSAGES: usize = 8;
/// How everybody is called.
const NAMES: [&str; 3] = ["ada", "bob", "carol"];

/// Sends on their way, by text.
type Outstanding = JoinSet<(String, Result<Sent, Error>)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_again_and_again_loses_and_doubles_nothing() {
    let seed = entropy::random::<8>();
    println!("seed {seed:?}");
    let mut server = TestServer::start().await;
    let mut homes = Vec::new();
    for name in NAMES {
        homes.push(Home::join(&server, name).await);
    }
    let mut clients = open(&homes).await;
    let others = [NAMES[1].to_owned(), NAMES[2].to_owned()];
    let group = clients[0].create_group("The unlucky", &others, sovereign_client::Policy::Equal).await.expect("a group");
    for client in &clients {
        joined(client, group).await;
    }

    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let mut outstanding = Outstanding::new();
    for round in 0..KILLS {
        for (client, name) in clients.iter().zip(NAMES) {
            for number in 0..MESSAGES {
                send(&mut outstanding, client, group, format!("{name} {round}.{number}"));
            }
        }
        // Between no answer and nearly all of them; the rest is outstanding when the server dies.
        let answers = usize::from(seed[round % seed.len()]).wrapping_mul(round + 1) % (NAMES.len() * MESSAGES);
        for _ in 0..answers {
            take_one(&mut outstanding, &mut told).await;
        }
        server.kill().await;
        server.restart().await;
        if round >= KILLS_WAITED_OUT {
            for client in clients {
                client.close().await;
            }
            while !outstanding.is_empty() {
                take_one(&mut outstanding, &mut told).await;
            }
            clients = open(&homes).await;
        }
    }
    while !outstanding.is_empty() {
        take_one(&mut outstanding, &mut told).await;
    }
    verify(&clients, group, &told).await;
}

/// Everybody's history in the end: each message once, where its sender was told, each sender's in their order.
async fn verify(clients: &[Client], group: [u8; 32], told: &BTreeMap<String, u64>) {
    let total = NAMES.len() * MESSAGES * KILLS;
    println!("{} of {total} sends were answered while their sender waited", told.len());
    assert!(told.len() > total / 10 && told.len() < total, "kills met outstanding sends");
    let mut first = None;
    for client in clients {
        let history = eventually("the whole history", || async {
            let history = client.history(group, 2 * total).await.expect("a history");
            (history.len() >= total).then_some(history)
        })
        .await;
        let lines: Vec<(u64, String)> = history.iter().map(|message| (message.seq, message.text.clone())).collect();
        let by_text: BTreeMap<&str, u64> = lines.iter().map(|(seq, text)| (text.as_str(), *seq)).collect();
        assert_eq!((lines.len(), by_text.len()), (total, total), "every message stands once");
        for (text, seq) in told {
            assert_eq!(by_text.get(text.as_str()), Some(seq), "{text:?} stands where its sender was told");
        }
        for name in NAMES {
            let of_one: Vec<String> = lines.iter().map(|(_, text)| text.clone()).filter(|text| text.starts_with(name)).collect();
            let in_order: Vec<String> =
                (0..KILLS * MESSAGES).map(|n| format!("{name} {}.{}", n / MESSAGES, n % MESSAGES)).collect();
            assert_eq!(of_one, in_order, "messages of one person stand in the order they were sent in");
        }
        assert_eq!(first.get_or_insert_with(|| lines.clone()), &lines, "everybody sees the same");
    }
}

async fn open(homes: &[Home]) -> Vec<Client> {
    let mut clients = Vec::new();
    for home in homes {
        clients.push(home.client().await);
    }
    clients
}

async fn joined(client: &Client, group: [u8; 32]) {
    eventually("the group", || async { client.epoch_authenticator(group).await.ok() }).await;
}

/// Into the outbox at once; the answer comes later, or never.
fn send(outstanding: &mut Outstanding, client: &Client, group: [u8; 32], text: String) {
    let client = client.clone();
    let mut sending = Box::pin(async move {
        let result = client.send(group, &text).await;
        (text, result)
    });
    // The first step puts it into the outbox, so that the order is the one of these calls.
    let waker = std::task::Waker::noop();
    if sending.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending() {
        outstanding.spawn(sending);
    } else {
        panic!("nothing is accepted before it was sent");
    }
}

async fn take_one(outstanding: &mut Outstanding, told: &mut BTreeMap<String, u64>) {
    let Some(done) = within("an answer", outstanding.join_next()).await else { return };
    match done.expect("a send does not panic") {
        (text, Ok(sent)) => assert!(told.insert(text, sent.seq).is_none(), "one answer for each message"),
        // Its client was closed; the message is in the outbox all the same.
        (_, Err(Error::Closed)) => {}
        (text, Err(error)) => panic!("{text:?} was refused: {error}"),
    }
}
