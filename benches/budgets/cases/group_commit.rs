//! The store alone, on the directory a server left: what waits as one transaction, against a transaction for each.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use sovereign::{
    clock::{Clock, monotonic},
    ids::{ClientId, DeviceId, GroupId},
    store::{Append, AppendOutcome, DataDir, NewMessage, Options, Store},
};

use crate::{
    client::Mint,
    harness::TestServer,
    limits::sqlite::Bare,
    measure::{Taken, best},
    process::Cpu,
    scale::Scale,
    table::{Gate, Row, Table},
};

/// The epoch of a group of two.
const EPOCH: u64 = 1;

/// Messages a second both ways.
pub async fn run(server: &TestServer, senders: &[(GroupId, DeviceId)], scale: &Scale, table: &mut Table) {
    let (together, each) = (scale.pairs * scale.messages, scale.timed);
    let outstanding = scale.pairs * scale.outstanding;
    let grouped = measure(server, senders, scale, Options::default(), (together, outstanding)).await;
    let single = measure(server, senders, scale, Options { batch_jobs: 1, ..Options::default() }, (each, outstanding)).await;
    let what = format!("the store alone, {outstanding} outstanding: group commit");
    let row = Row::context(what, grouped.rate(together), "/s");
    table.add(row.beside("a commit per message", single.rate(each)).gated(Gate::RatioAtLeast(10.0)));
    let mut bare = Bare::new();
    let bare = best((0..scale.rounds).map(|_| bare.write(each, 1)));
    let row = Row::context("the store alone, a commit per message", single.rate(each), "/s");
    table.add(row.beside("bare SQLite", bare.rate(each)));
}

async fn measure(
    server: &TestServer,
    senders: &[(GroupId, DeviceId)],
    scale: &Scale,
    options: Options,
    (messages, outstanding): (usize, usize),
) -> Taken {
    let directory = DataDir::open(server.data()).expect("the server has left it");
    let clock = Clock::default();
    let store = Store::open(&directory, options, clock.clone()).expect("the store opens");
    let mut mints: Vec<Mint> = senders
        .iter()
        .map(|(group, _)| Mint::new(Bytes::copy_from_slice(group.as_bytes()), EPOCH, Scale::MESSAGE_BYTES))
        .collect();
    let mut all = Vec::new();
    for _ in 0..scale.rounds {
        let (cpu, start) = (Cpu::of(std::process::id()), monotonic());
        let mut waiting = FuturesUnordered::new();
        for index in 0..messages {
            if waiting.len() == outstanding {
                accepted(waiting.next().await);
            }
            let at = index % senders.len();
            let ((group, sender), (id, ciphertext)) = (senders[at], mints[at].next());
            let message = NewMessage { client_id: ClientId(id), ciphertext, ttl_ms: None, urgent: false };
            waiting.push(store.append(Append { group, sender, epoch: EPOCH, message, now: clock.now_ms() }));
        }
        while let Some(outcome) = waiting.next().await {
            accepted(Some(outcome));
        }
        all.push(Taken { cpu: Cpu::of(std::process::id()).since(cpu), wall: start.elapsed() });
    }
    store.close().await.expect("the store closes");
    best(all)
}

fn accepted(outcome: Option<Result<AppendOutcome, sovereign::store::StoreError>>) {
    assert!(matches!(outcome, Some(Ok(AppendOutcome::Accepted { .. }))), "the store takes messages: {outcome:?}");
}
