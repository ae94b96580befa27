//! Commits: races, removals, joins from outside.

use super::{fake::Fault, *};
use crate::event::Event;

#[tokio::test(start_paused = true)]
async fn the_name_travels_in_the_bundle_and_everybody_reads_it() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo"].iter().map(|name| Person::new(&server, name)).collect();
    let (a, b, c) = (people[0].open().await, people[1].open().await, people[2].open().await);
    let group = a.create_group("readers", &names(&["ben", "cleo"]), Policy::Equal).await.expect("made");
    for client in [&a, &b, &c] {
        until("the name arrives", || async {
            client
                .groups()
                .await
                .expect("readable")
                .iter()
                .any(|info| info.id == group && info.name.as_deref() == Some("readers"))
        })
        .await;
    }
    until_agreed(group, &[&a, &b, &c]).await;
    a.send(group, "first").await.expect("sent");
    until_texts(&c, &["first"]).await;
    b.rename(group, "writers").await.expect("renamed");
    until("the new name arrives", || async {
        c.groups().await.expect("readable").iter().any(|info| info.name.as_deref() == Some("writers"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn racing_commits_all_come_through_without_an_external_join() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo", "dan", "eve"].iter().map(|name| Person::new(&server, name)).collect();
    let mut clients = Vec::new();
    for person in &people {
        clients.push(person.open().await);
    }
    let group = clients[0].create_group("race", &names(&["ben", "cleo"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&clients[0], &clients[1], &clients[2]]).await;
    let (add, remove, update) = (names(&["dan"]), names(&["cleo"]), clients[1].update(group));
    let (dan, dan_too, cleo, own) =
        tokio::join!(clients[0].add(group, &add), clients[1].add(group, &add), clients[0].remove(group, &remove), update);
    for result in [dan, dan_too, cleo, own] {
        result.expect("every intent is fulfilled");
    }
    until_agreed(group, &[&clients[0], &clients[1], &clients[3]]).await;
    let infos = clients[3].groups().await.expect("readable");
    let members: Vec<&str> = infos[0].members.iter().map(|member| member.username.as_str()).collect();
    assert_eq!(members, ["ann", "ben", "dan"]);
    until("cleo learns it", || async { clients[2].groups().await.expect("readable")[0].state == GroupState::Left }).await;
    assert!(clients[2].send(group, "still here?").await.is_err());
    assert_eq!(server.world().counts.get("GetGroupInfo"), None, "nobody came in from outside");
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_recognised_as_won() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        server.world().faults.push(("SubmitCommit", fault));
        let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
        until_agreed(group, &[&a, &b]).await;
        assert_eq!(server.world().groups[&group].epoch, 1);
        b.send(group, "in").await.expect("sent");
    }
    until_texts(&a, &["in", "in"]).await;
}

#[tokio::test(start_paused = true)]
async fn two_who_start_at_once_converge_on_one_group() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    until("both have key packages", || async { server.world().counts.get("PublishKeyPackages").copied().unwrap_or(0) >= 2 })
        .await;
    let (to_ben, to_ann) = (names(&["ben"]), names(&["ann"]));
    let (from_a, from_b) = tokio::join!(a.send_to(&to_ben, "from ann"), b.send_to(&to_ann, "from ben"));
    assert_eq!(from_a.expect("sent").group, from_b.expect("sent").group);
    until_texts(&a, &["from ben"]).await;
    until_texts(&b, &["from ann"]).await;
    assert_eq!(a.groups().await.expect("readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn removed_and_added_again_while_offline() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    let mut events = b.events();
    a.remove(group, &names(&["ben"])).await.expect("removed");
    until("ben is out", || async { b.groups().await.expect("readable")[0].state == GroupState::Left }).await;
    b.close().await;
    a.send(group, "not for ben").await.expect("sent");
    a.add(group, &names(&["ben"])).await.expect("added");
    a.send(group, "welcome back").await.expect("sent");
    let b = ben.open().await;
    until_texts(&b, &["welcome back"]).await;
    until_agreed(group, &[&a, &b]).await;
    let mut left = false;
    while let Ok(event) = events.try_recv() {
        left |= event == Event::Left { group };
    }
    assert!(left);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_the_server_has_forgotten_is_made_anew() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo", "dan"].iter().map(|name| Person::new(&server, name)).collect();
    let (a, b, c, d) = (people[0].open().await, people[1].open().await, people[2].open().await, people[3].open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    until("all have key packages", || async { server.world().counts["PublishKeyPackages"] >= 4 }).await;
    // Ann loses a race, and comes back with the claim that she made before it.
    server.disconnect(people[0].device);
    b.update(group).await.expect("accepted");
    server.world().forgets_claims = true;
    a.add(group, &names(&["cleo"])).await.expect("added with a fresh claim");
    until_agreed(group, &[&b, &c]).await;
    assert_eq!(server.world().counts["ClaimKeyPackages"], 4, "one for the group, and three for her addition");

    server.world().refuses_adds = 1;
    b.add(group, &names(&["dan"])).await.expect("added with other key packages");
    until_agreed(group, &[&b, &c, &d]).await;
    server.world().refuses_adds = usize::MAX;
    let refused = c.remove(group, &names(&["dan"])).await;
    refused.expect("removals need no key packages");
    assert!(c.add(group, &names(&["dan"])).await.is_err(), "it is not tried for ever");
}
