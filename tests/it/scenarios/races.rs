//! Many commit at once: one winner an epoch, and in the end everybody stands in the same one.

use std::time::Duration;

use sovereign::{clock::monotonic, entropy};
use sovereign_proto::v1::{entry::Body, submit_commit_response::Outcome};

use crate::harness::{
    TestServer,
    scene::{Person, Seat},
};

/// Twenty devices in one group.
async fn crowd(server: &TestServer, size: usize) -> Vec<Seat> {
    let mut people = Vec::new();
    for number in 0..size {
        people.push(Person::new(server, &format!("person-{number}")).await);
    }
    let (first, others) = people.split_first_mut().expect("a crowd has a first");
    let mut group = first.create_group().await;
    let keys: Vec<_> = others.iter().map(|person| person.keys.clone()).collect();
    first.add(&mut group, &keys.iter().collect::<Vec<_>>()).await;
    let mut groups = vec![group];
    for person in others {
        groups.push(person.join().await);
    }
    people.into_iter().zip(groups).map(|(person, group)| Seat { person, group }).collect()
}

/// Applies everything that came in the group so far, up to `epoch` at least.
async fn catch_up(seat: &mut Seat, epoch: u64) {
    let id = seat.group.group_id().to_vec();
    while seat.group.epoch().as_u64() < epoch {
        let entries = seat.person.raw.entries(&id).await;
        apply(seat, &entries);
        let last = entries.last().map_or(0, |entry| entry.seq);
        seat.person.raw.acknowledge(&id, last).await;
    }
}

fn apply(seat: &mut Seat, entries: &[sovereign_proto::v1::Entry]) {
    for entry in entries {
        if let Some(Body::Commit(bytes)) = &entry.body
            && crate::harness::member::epoch_of(bytes) == seat.group.epoch().as_u64()
        {
            seat.person.member.apply(&mut seat.group, entry);
        }
    }
}

/// Commits until the deadline: how often it won and lost.
async fn race(mut seat: Seat, until: sovereign::clock::Instant) -> (Seat, usize, usize) {
    let id = seat.group.group_id().to_vec();
    let (mut won, mut lost) = (0, 0);
    while monotonic() < until {
        let bundle = seat.person.member.update(&mut seat.group);
        match seat.person.raw.call(bundle.request(&id)).await {
            Ok(response) => match response.outcome.expect("an outcome") {
                Outcome::Accepted(_) => {
                    seat.person.member.merge(&mut seat.group);
                    won += 1;
                }
                Outcome::Rejected(rejected) => {
                    seat.clear();
                    lost += 1;
                    let stale = rejected.stale.expect("what it missed");
                    apply(&mut seat, &stale.entries);
                    catch_up(&mut seat, stale.current_epoch).await;
                }
            },
            Err(failure) => panic!("refused: {:?} {}", failure.code(), failure.message),
        }
    }
    (seat, won, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_race_and_all_end_in_the_same_epoch_without_an_external_join() {
    println!("seed {:?}", entropy::random::<8>());
    // How often a group may be changed is another story; here a fast machine is not to wait.
    let server = TestServer::start_with(&["--requests-per-second-max", "100000"]).await;
    let seats = crowd(&server, 20).await;
    let until = monotonic() + Duration::from_secs(15);
    let tasks: Vec<_> = seats.into_iter().map(|seat| tokio::spawn(race(seat, until))).collect();
    let (mut seats, mut won, mut lost) = (Vec::new(), 0, 0);
    for task in tasks {
        let (seat, wins, losses) = task.await.expect("nobody fails");
        seats.push(seat);
        won += wins;
        lost += losses;
    }
    let epoch = seats.iter().map(|seat| seat.group.epoch().as_u64()).max().expect("a crowd");
    assert_eq!(epoch, 1 + won as u64, "one winner an epoch: {won} won, {lost} lost");
    for seat in &mut seats {
        catch_up(seat, epoch).await;
    }
    let authenticators: Vec<_> = seats.iter().map(|seat| seat.group.epoch_authenticator().as_slice().to_vec()).collect();
    assert!(authenticators.windows(2).all(|pair| pair[0] == pair[1]), "all epoch authenticators are equal");
    assert!(lost > 0, "nobody lost a race, so nothing was shown");
}
