//! Two people on two homes, talking live.

use crate::harness::{
    Home, TestServer,
    sov::{members, text},
};

#[tokio::test]
async fn two_people_talk_live_on_two_homes() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let mut adas = ada.listen().await;
    let mut bobs = bob.listen().await;

    let sent = ada.sov(&["send", "--to", "bob", "Tea at four?"]).await;
    let heard = bobs.event("message").await;
    assert_eq!((text(&heard["from"]), text(&heard["text"])), ("ada".to_owned(), "Tea at four?".to_owned()));
    assert_eq!((&heard["group"], &heard["seq"]), (&sent[0]["group"], &sent[0]["seq"]));

    let answer = bob.sov(&["send", "--to", "ada", "With lemon."]).await;
    let heard = adas.event("message").await;
    assert_eq!((text(&heard["from"]), text(&heard["text"])), ("bob".to_owned(), "With lemon.".to_owned()));
    assert_eq!(answer[0]["group"], sent[0]["group"], "the answer goes to the same group");

    let group = text(&sent[0]["group"]);
    bob.sov(&["send", "--group", &group[..12], "And milk."]).await;
    assert_eq!(adas.message().await, ("bob".to_owned(), "And milk.".to_owned()));

    for home in [&ada, &bob] {
        let groups = home.groups().await;
        assert_eq!(groups.len(), 1);
        assert_eq!(members(&groups[0]), ["ada", "bob"]);
        let history = home.sov(&["history", &group]).await;
        let texts: Vec<String> = history.iter().map(|line| text(&line["text"])).collect();
        assert_eq!(texts, ["Tea at four?", "With lemon.", "And milk."]);
    }
}
