//! Killed between any two steps, a client loses nothing and doubles nothing.

use super::{fake::Fault, *};

/// Sends one message to a new group of two and survives a kill at the request of this number.
async fn survives(at: usize, fault: Fault) -> bool {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let b = ben.open().await;
    until("ben has key packages", || async { server.world().counts.contains_key("PublishKeyPackages") }).await;
    let a = ann.open().await;
    server.world().fault_at = Some((ann.device, at, fault));
    let to = names(&["ben"]);
    let first = tokio::time::timeout(Duration::from_secs(20), a.send_to(&to, "once")).await;
    let reached = server.world().fault_at.is_none();
    a.close().await;
    let a = ann.open().await;
    if let Ok(sent) = first {
        assert!(sent.is_ok(), "{sent:?}");
    } else {
        // The person sees whether it is on its way, and says it again only if it is not.
        let groups = a.groups().await.expect("readable");
        if groups.is_empty() {
            a.send_to(&to, "once").await.expect("sent");
        } else if a.queued(groups[0].id) == 0 && a.history(groups[0].id, 10).await.expect("readable").is_empty() {
            a.send(groups[0].id, "once").await.expect("sent");
        }
    }
    until_texts(&b, &["once"]).await;
    let group = b.groups().await.expect("readable")[0].id;
    until_agreed(group, &[&a, &b]).await;
    a.send(group, "and on").await.expect("sent");
    until_texts(&b, &["once", "and on"]).await;
    assert_eq!(a.history(group, 10).await.expect("readable").len(), 2);
    reached
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_while_everything_ends_does_not_outlive_it() {
    let server = FakeServer::default();
    let ann = Person::new(&server, "ann");
    let ((core, _, key), (remote, _events)) = (ann.unlock(), server.connect(ann.device));
    let engine = Engine::new(core, remote, key, Options::default().clock);
    engine.spawn(std::future::pending());
    engine.close().await;
    // A task in its last step, or a call on another handle, begins something now.
    let (tell, told) = tokio::sync::oneshot::channel();
    engine.spawn(async move {
        let _ = tell.send(());
        std::future::pending::<()>().await;
    });
    assert!(told.await.is_err(), "it would hold the vault for ever");
}

#[tokio::test(start_paused = true)]
async fn a_kill_before_or_after_any_request_is_survived() {
    for fault in [Fault::SilentBefore, Fault::SilentAfter, Fault::AnswerLost, Fault::RequestLost] {
        let mut at = 1;
        while survives(at, fault).await {
            at += 1;
            assert!(at < 64, "the requests never end");
        }
        assert!(at > 5, "only {at} requests were hit");
    }
}
