//! Twenty people change one group at the same time.

use std::{collections::BTreeSet, time::Duration};

use sovereign::{
    clock::{Instant, monotonic},
    entropy,
};
use sovereign_client::{Client, Error, ErrorClass, Event, Policy};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
    time::timeout,
};

use crate::harness::{Home, PATIENCE, TestServer, eventually};

/// Who commits.
const RACERS: usize = 20;
/// Who is added and removed meanwhile.
const GUESTS: usize = 3;
/// How long.
const DURATION: Duration = Duration::from_secs(30);

/// What one racer did.
#[derive(Default)]
struct Tally {
    updates: u64,
    adds: u64,
    removes: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_race_and_end_in_one_state() {
    let server = TestServer::start().await;
    let mut homes = Vec::new();
    let mut clients = Vec::new();
    for name in (0..RACERS).map(racer).chain((0..GUESTS).map(guest)) {
        let home = Home::join(&server, &name).await;
        clients.push(home.client().await);
        homes.push(home);
    }
    let racers: Vec<Client> = clients[..RACERS].to_vec();
    let others: Vec<String> = (1..RACERS).map(racer).collect();
    let group = racers[0].create_group("The crowd", &others, Policy::Equal).await.expect("a group");
    let mut start = 0;
    for client in &racers {
        start = eventually("the group", || async { client.epoch_authenticator(group).await.ok() }).await.0;
    }

    let mut watchers = JoinSet::new();
    for client in &racers {
        watchers.spawn(watch(client.events(), group));
    }
    let deadline = monotonic() + DURATION;
    let mut running = JoinSet::new();
    for (number, client) in racers.iter().cloned().enumerate() {
        running.spawn(race(client, group, number, deadline));
    }
    // What is under way at its end is finished still.
    let tallies = timeout(DURATION + PATIENCE, running.join_all()).await.expect("the race ends");
    let (updates, adds, removes) =
        tallies.iter().fold((0, 0, 0), |sum, tally| (sum.0 + tally.updates, sum.1 + tally.adds, sum.2 + tally.removes));

    let guests: Vec<String> = (0..GUESTS).map(guest).collect();
    racers[0].add(group, &guests).await.expect("in the end all are in");
    racers[1].update(group).await.expect("one more");
    let end = agree(&clients, group).await;
    drop(racers);
    for client in clients {
        client.close().await;
    }
    let mut seen = watchers.join_all().await;
    let (changes, _) = seen.swap_remove(0);
    println!(
        "epoch {start} to {end}: {updates} updates, {adds} additions, {removes} removals answered; {} changed members",
        changes.len()
    );
    assert!(seen.iter().all(|(_, joined)| !joined), "nobody had to join again from outside");
    let accepted = updates + 1 + u64::try_from(changes.len()).expect("a count fits");
    assert_eq!(end - start, accepted, "every epoch is the one accepted commit of somebody who was told so");
    assert!(end - start > 10, "the race was one");
}

fn racer(number: usize) -> String {
    format!("racer-{number}")
}

fn guest(number: usize) -> String {
    format!("guest-{number}")
}

/// Commits until the deadline. Somebody in four changes guests, everybody else their own keys.
async fn race(client: Client, group: [u8; 32], number: usize, deadline: Instant) -> Tally {
    let mut tally = Tally::default();
    while monotonic() < deadline {
        let names = [guest(usize::from(entropy::random::<1>()[0]) % GUESTS)];
        let (result, count) = match (number % 4, entropy::below(2)) {
            (0, 0) => (client.add(group, &names).await, &mut tally.adds),
            (0, _) => (client.remove(group, &names).await, &mut tally.removes),
            _ => (client.update(group).await, &mut tally.updates),
        };
        match result {
            Ok(()) => *count += 1,
            // The guest's last key package is on its way to somebody else.
            Err(error) if number.is_multiple_of(4) && is_shortage(&error) => {}
            Err(error) => panic!("racer {number}: {error}"),
        }
    }
    tally
}

fn is_shortage(error: &Error) -> bool {
    error.class() == ErrorClass::NotFound
}

/// Until the client is closed: the epochs in which members changed, and whether this client came into the group.
async fn watch(mut events: Receiver<Event>, id: [u8; 32]) -> (BTreeSet<u64>, bool) {
    let (mut changes, mut joined) = (BTreeSet::new(), false);
    loop {
        match events.recv().await {
            Ok(Event::MembersChanged { group, epoch, .. }) if group == id => {
                changes.insert(epoch);
            }
            Ok(Event::Joined { group }) if group == id => joined = true,
            Ok(Event::Alarm { alarm, .. }) => panic!("alarm: {alarm}"),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => panic!("{missed} events were missed"),
            Err(RecvError::Closed) => return (changes, joined),
        }
    }
}

/// Waits until everybody stands in the same epoch with the same secrets; the epoch.
async fn agree(clients: &[Client], group: [u8; 32]) -> u64 {
    let states = eventually("everybody in one state", || async {
        let mut states = BTreeSet::new();
        for client in clients {
            states.insert(client.epoch_authenticator(group).await.ok()?);
        }
        (states.len() == 1).then_some(states)
    })
    .await;
    states.into_iter().next().expect("one state").0
}
