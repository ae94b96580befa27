//! A stranger's request, accepted, talked to, and blocked.

use serde_json::Value;

use crate::harness::{
    Home, TestServer, eventually,
    sov::{said, text},
};

/// Name and relation of every contact.
async fn contacts(home: &Home) -> Vec<(String, String)> {
    let lines = home.sov(&["contacts"]).await;
    lines.iter().map(|line| (text(&line["username"]), text(&line["relation"]))).collect()
}

fn one(name: &str, relation: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), relation.to_owned())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_asks_is_accepted_talks_and_is_blocked() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let (mut adas, mut bobs) = (ada.listen().await, bob.listen().await);

    ada.sov(&["send", "--to", "bob", "We met at the lake"]).await;
    let asked = bobs.event("message").await;
    assert_eq!(said(&asked), ("ada".to_owned(), "We met at the lake".to_owned()));
    assert_eq!(asked["request"], true);
    let change = bobs.event("contact").await;
    assert_eq!((&change["username"], &change["relation"]), (&"ada".into(), &"request".into()));
    assert_eq!(contacts(&ada).await, one("bob", "requested"));
    assert_eq!(contacts(&bob).await, one("ada", "request"));
    assert_eq!(bob.groups().await[0]["request"], true);
    assert_eq!(ada.groups().await[0]["request"], Value::Null, "her own group is no request");

    let accepted = bob.sov(&["contacts", "accept", "ada"]).await;
    assert_eq!(accepted[0]["relation"], "accepted");
    adas.until(|line| line["event"] == "contact" && line["relation"] == "accepted").await;
    assert_eq!((contacts(&ada).await, contacts(&bob).await), (one("bob", "accepted"), one("ada", "accepted")));
    assert_eq!(bob.groups().await[0]["request"], Value::Null);
    bob.sov(&["send", "--to", "ada", "I remember"]).await;
    assert_eq!(adas.message().await.1, "I remember");
    ada.sov(&["send", "--to", "bob", "Tea?"]).await;
    let tea = bobs.event("message").await;
    assert_eq!((&tea["text"], &tea["request"]), (&"Tea?".into(), &Value::Null));

    bob.sov(&["contacts", "block", "ada"]).await;
    bobs.until(|line| line["event"] == "contact" && line["relation"] == "blocked").await;
    let refused = ada.try_sov(&["send", "--to", "bob", "Still there?"]).await;
    let unknown = ada.try_sov(&["send", "--to", "bop", "Still there?"]).await;
    assert_eq!((refused.code, unknown.code), (Some(1), Some(1)), "{refused:?}");
    assert_eq!(refused.error, unknown.error.replace("bop", "bob"), "he looks like somebody who does not exist");
    let refused = ada.try_sov(&["group", "create", "--name", "Come", "--with", "bob"]).await;
    assert_eq!((refused.code, refused.error), (Some(1), unknown.error.replace("bop", "bob")));
    assert_eq!(contacts(&ada).await, one("bob", "accepted"), "she is told nothing");

    // What she says in the group of the two is hers alone.
    let group = text(&tea["group"]);
    ada.sov(&["send", "--group", &group, "Hello?"]).await;
    let own = bob.try_sov(&["send", "--to", "ada", "no"]).await;
    assert!(own.code == Some(64) && own.error.contains("blocked"), "{own:?}");
    bob.sov(&["contacts", "remove", "ada"]).await;
    assert!(contacts(&bob).await.is_empty());
    ada.sov(&["send", "--to", "bob", "Bob!"]).await;
    let again = bobs.event("message").await;
    assert_eq!((&again["text"], &again["request"]), (&"Bob!".into(), &true.into()), "what came while blocked is not shown");
    let history = bob.sov(&["history", &group]).await;
    assert!(history.iter().all(|line| line["text"] != "Hello?"), "{history:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answering_a_request_accepts_it_also_from_offline() {
    let mut server = TestServer::start().await;
    let (ada, bob, carol) =
        (Home::join(&server, "ada").await, Home::join(&server, "bob").await, Home::join(&server, "carol").await);
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    carol.sov(&["group", "create", "--name", "Choir", "--with", "bob"]).await;
    let (lines, _) = bob.start(&["listen", "--count", "1"]).rest().await;
    assert!(lines.iter().any(|line| line["request"] == true), "{lines:?}");
    bob.sov(&["send", "--to", "ada", "hello yourself"]).await;
    assert_eq!(contacts(&bob).await, [one("ada", "accepted"), one("carol", "request")].concat());

    // A group is accepted by speaking there; that makes no contact of who has added one.
    bob.sov(&["send", "--group", "Choir", "la"]).await;
    let choir = |groups: Vec<Value>| groups.into_iter().find(|group| group["name"] == "Choir").expect("the choir");
    let now = choir(bob.groups().await)["request"].clone();
    // With nobody else in it, it is the same as answering Carol.
    assert_eq!((now, contacts(&bob).await), (Value::Null, [one("ada", "accepted"), one("carol", "accepted")].concat()));

    let dan = Home::join(&server, "dan").await;
    dan.sov(&["send", "--to", "bob", "hi"]).await;
    let (_, code) = bob.start(&["listen", "--count", "1"]).rest().await;
    assert_eq!(code, Some(0));
    server.terminate().await;
    assert_eq!(bob.try_sov(&["send", "--to", "dan", "hi yourself", "--timeout", "2"]).await.code, Some(75), "in the outbox");
    server.restart().await;
    eventually("the acceptance to be told", || async {
        bob.groups().await;
        contacts(&dan).await.contains(&("bob".to_owned(), "accepted".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_can_be_refused_and_listed_without_a_server() {
    let mut server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    for verb in ["accept", "block", "remove"] {
        let nobody = bob.try_sov(&["contacts", verb, "nobody-here"]).await;
        assert!(nobody.code == Some(1) && nobody.error.contains("nobody-here"), "{nobody:?}");
        assert_eq!(bob.try_sov(&["contacts", verb, "bob"]).await.code, Some(64), "oneself");
    }
    assert_eq!(contacts(&bob).await, one("ada", "request"));
    server.terminate().await;
    assert_eq!(contacts(&bob).await, one("ada", "request"));
    assert_eq!(bob.try_sov(&["contacts", "accept", "ada", "--timeout", "2"]).await.code, Some(69));
}
