//! Commits that cannot be processed: read again, told to the server, and what becomes of the group.

use sovereign_proto::v1::{self, entry::Body};

use super::*;
use crate::{Error, event::Event};

/// The commit's membership tag, which only members can check.
fn spoil(entry: &mut v1::Entry) {
    if let Some(Body::Commit(commit)) = &mut entry.body {
        let mut bytes = commit.to_vec();
        *bytes.last_mut().expect("a commit has bytes") ^= 1;
        *commit = bytes.into();
    }
}

/// These people, of whom the first makes a group with the others.
async fn group_of(server: &FakeServer, all: &[&str]) -> (Vec<Person>, Vec<Client>, [u8; 32]) {
    let people: Vec<Person> = all.iter().map(|name| Person::new(server, name)).collect();
    let mut clients = Vec::new();
    for person in &people {
        clients.push(person.open().await);
    }
    let group = clients[0].create_group("tea", &names(&all[1..]), Policy::Equal).await.expect("made");
    until_agreed(group, &clients.iter().collect::<Vec<_>>()).await;
    (people, clients, group)
}

/// A pair whose group the second one has frozen.
async fn frozen_pair(server: &FakeServer) -> (Vec<Person>, Vec<Client>, [u8; 32]) {
    let (people, clients, group) = group_of(server, &["ann", "ben"]).await;
    clients[0].send(group, "before").await.expect("sent");
    until_texts(&clients[1], &["before"]).await;
    server.world().tamper = Some((people[1].device, spoil));
    server.world().tampers_always = true;
    clients[0].update(group).await.expect("accepted");
    until("it is frozen", || async { state(&clients[1], group).await == Some(GroupState::Frozen) }).await;
    server.world().tamper = None;
    (people, clients, group)
}

async fn state(client: &Client, group: [u8; 32]) -> Option<GroupState> {
    client.groups().await.expect("readable").into_iter().find(|info| info.id == group).map(|info| info.state)
}

/// The group in place of another one, as this client sees it.
async fn successor(client: &Client, old: [u8; 32]) -> [u8; 32] {
    until("the group goes on", || async {
        client.groups().await.expect("readable").iter().any(|info| info.former.contains(&old) && info.members.len() == 2)
    })
    .await;
    let groups = client.groups().await.expect("readable");
    assert_eq!(groups.len(), 1, "one conversation");
    groups[0].id
}

fn asked(server: &FakeServer, name: &str) -> usize {
    server.world().counts.get(name).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_damaged_is_read_again() {
    let server = FakeServer::default();
    let (people, clients, group) = group_of(&server, &["ann", "ben", "cleo"]).await;
    server.world().tamper = Some((people[1].device, spoil));
    clients[0].update(group).await.expect("accepted");
    until_agreed(group, &[&clients[0], &clients[1], &clients[2]]).await;
    assert!(asked(&server, "FetchEntries") > 0);
    assert_eq!(asked(&server, "GetGroupInfo"), 0, "nobody came in from outside");
}

#[tokio::test(start_paused = true)]
async fn who_alone_cannot_follow_says_so_and_comes_in_from_outside() {
    let server = FakeServer::default();
    let (people, clients, group) = group_of(&server, &["ann", "ben", "cleo"]).await;
    server.world().tamper = Some((people[1].device, spoil));
    server.world().tampers_always = true;
    clients[0].update(group).await.expect("accepted");
    until("ben asks for the way in", || async { asked(&server, "GetGroupInfo") > 0 }).await;
    server.world().tamper = None;
    until_agreed(group, &[&clients[0], &clients[1], &clients[2]]).await;
    assert!(!server.world().groups[&group].frozen, "a lone nack never freezes");
    clients[1].send(group, "here again").await.expect("sent");
    until_texts(&clients[2], &["here again"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_group_is_reset_and_everybody_goes_on_in_the_new_one() {
    let server = FakeServer::default();
    let (_people, clients, old) = frozen_pair(&server).await;
    let (a, b) = (&clients[0], &clients[1]);
    assert!(matches!(b.send(old, "into the void").await, Err(Error::GroupClosed(_))));
    assert!(matches!(a.send(old, "into the void").await, Err(Error::GroupClosed(_))), "ann learns it by the refusal");
    let (mut of_a, mut of_b) = (a.events(), b.events());
    let new = a.reset(old).await.expect("reset");
    assert_ne!(new, old);
    assert_eq!(successor(b, old).await, new);
    assert_eq!(successor(a, old).await, new);
    for events in [&mut of_a, &mut of_b] {
        while events.recv().await.expect("told") != (Event::Reset { group: old, successor: new }) {}
    }
    until_agreed(new, &[a, b]).await;
    let sent = b.send(old, "after").await.expect("sent to where it goes on");
    assert_eq!(sent.group, new);
    until_texts(b, &["before"]).await;
    until_texts(a, &["after"]).await;
    let history: Vec<([u8; 32], String)> =
        b.history(new, 10).await.expect("readable").into_iter().map(|message| (message.group, message.text)).collect();
    assert_eq!(history, [(old, "before".to_owned()), (new, "after".to_owned())]);
    assert_eq!(b.groups().await.expect("readable")[0].name.as_deref(), Some("tea"));
    assert_eq!(a.reset(old).await, Ok(new), "there is nothing more to do");
    assert!(matches!(a.reset(new).await, Err(Error::Usage(_))), "a healthy group is not reset");
}

#[tokio::test(start_paused = true)]
async fn two_who_reset_at_once_converge_on_one_successor() {
    let server = FakeServer::default();
    let (_people, clients, old) = frozen_pair(&server).await;
    let (from_a, from_b) = tokio::join!(clients[0].reset(old), clients[1].reset(old));
    let new = from_a.expect("reset");
    assert_eq!(from_b, Ok(new));
    for client in &clients {
        assert_eq!(successor(client, old).await, new);
    }
    until_agreed(new, &[&clients[0], &clients[1]]).await;
    clients[0].send(new, "on").await.expect("sent");
    until_texts(&clients[1], &["before", "on"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_goes_on_without_those_who_cannot_be_added() {
    let server = FakeServer::default();
    let (people, clients, old) = group_of(&server, &["ann", "ben", "cleo", "dan"]).await;
    server.world().groups.get_mut(&old).expect("made").frozen = true;
    server.world().take_packages(people[2].device);
    let new = clients[0].reset(old).await.expect("reset");
    let members = || async {
        let groups = clients[0].groups().await.expect("readable");
        let of_new = groups.into_iter().find(|info| info.id == new).map(|info| info.members).unwrap_or_default();
        of_new.into_iter().map(|member| member.username).collect::<Vec<_>>()
    };
    until("everybody else is in", || async { members().await == ["ann", "ben", "dan"] }).await;
    until_agreed(new, &[&clients[0], &clients[1], &clients[3]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_server_alone_leads_nobody_to_another_group() {
    let server = FakeServer::default();
    let (_people, clients, old) = frozen_pair(&server).await;
    let cleo = Person::new(&server, "cleo");
    let c = cleo.open().await;
    let trap = c.create_group("trap", &names(&["ann", "ben"]), Policy::Equal).await.expect("made");
    until_agreed(trap, &[&clients[0], &c]).await;
    server.world().groups.get_mut(&old).expect("made").successor = Some(trap);
    assert!(matches!(clients[0].send(old, "secret").await, Err(Error::GroupClosed(_))));
    assert_eq!(clients[0].groups().await.expect("readable").len(), 2);
    assert!(clients[0].history(trap, 10).await.expect("readable").is_empty());
}
