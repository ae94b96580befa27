//! Requests, contacts and blocks, as the engine takes them from a server that keeps them.

use sovereign_proto::v1;

use super::*;
use crate::{event::Event, model::Relation};

async fn until_related(client: &Client, name: &str, relation: Relation) {
    until(&format!("{name} is {relation:?}"), || async {
        let contacts = client.contacts().await.expect("readable");
        contacts.iter().any(|contact| contact.username == name && contact.relation == relation)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_blocked_one_says_alone_is_taken_and_not_shown() {
    let server = FakeServer::default();
    let (ann, ben, cleo) = (Person::new(&server, "ann"), Person::new(&server, "ben"), Person::new(&server, "cleo"));
    let (a, b, _c) = (ann.open().await, ben.open().await, cleo.open().await);
    let pair = a.send_to(&names(&["ben"]), "hello").await.expect("sent").group;
    until_texts(&b, &["hello"]).await;
    let all = a.create_group("all", &names(&["ben", "cleo"]), Policy::Equal).await.expect("made");
    until_agreed(all, &[&a, &b]).await;
    server.relate(ben.device, ann.device, "ann", v1::Relation::Blocked);
    until_related(&b, "ann", Relation::Blocked).await;

    let hidden = a.send(pair, "only to you").await.expect("sent");
    a.send(all, "to all of you").await.expect("sent");
    until_texts(&b, &["hello", "to all of you"]).await;
    until("the log is read on", || async { b.engine_log(pair).cursor >= hidden.seq }).await;
    assert!(b.history(pair, 10).await.expect("readable").iter().all(|message| message.text != "only to you"));
    let refused = b.send_to(&names(&["ann"]), "no").await.expect_err("one does not write to whom one has blocked");
    assert!(refused.to_string().contains("blocked"), "{refused}");

    server.relate(ben.device, ann.device, "ann", v1::Relation::Unspecified);
    until("the block is gone", || async { b.contacts().await.expect("readable").is_empty() }).await;
    a.send(pair, "again").await.expect("sent");
    until_texts(&b, &["hello", "to all of you", "again"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_waits_for_the_server_and_ends_the_request() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    server.world().welcome_requests = true;
    let mut events = b.events();
    let pair = a.send_to(&names(&["ben"]), "may I?").await.expect("sent").group;
    assert!(until_texts(&b, &["may I?"]).await[0].request);
    server.relate(ben.device, ann.device, "ann", v1::Relation::Request);
    until_related(&b, "ann", Relation::Request).await;
    assert!(b.groups().await.expect("readable")[0].request);

    server.world().faults.push(("SetRelation", fake::Fault::RequestLost));
    b.send_to(&names(&["ann"]), "you may").await.expect("sent, whatever becomes of the acceptance");
    until_related(&b, "ann", Relation::Accepted).await;
    assert!(!b.groups().await.expect("readable").iter().any(|group| group.id == pair && group.request));
    assert!(!b.history(pair, 10).await.expect("readable").iter().any(|message| message.request));
    let mut relations = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Contact(contact) = event {
            relations.push(contact.relation);
        }
    }
    assert_eq!(relations, [Relation::Request, Relation::Accepted], "each change is told once");
}
