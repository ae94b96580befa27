//! Two people who start with each other at the same instant.

use std::collections::BTreeSet;

use crate::harness::{
    Home, TestServer,
    sov::{members, text},
};

/// Pairs that try.
const PAIRS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_start_at_once_converge_on_one_group() {
    let server = TestServer::start().await;
    for pair in 0..PAIRS {
        let (left, right) = (format!("left-{pair}"), format!("right-{pair}"));
        let (one, other) = (Home::join(&server, &left).await, Home::join(&server, &right).await);
        let to_other = ["send", "--to", &right, "from the left"];
        let to_one = ["send", "--to", &left, "from the right"];
        let (first, second) = tokio::join!(one.sov(&to_other), other.sov(&to_one));
        // The server may have let both of them make a group, but not more.
        let made: BTreeSet<String> = [&first, &second].map(|sent| text(&sent[0]["group"])).into();
        for home in [&one, &other] {
            let groups = home.groups().await;
            let known: BTreeSet<String> = groups.iter().map(|group| text(&group["group"])).collect();
            assert_eq!(known, made, "both know what both have made");
            assert!(groups.iter().all(|group| members(group) == [left.as_str(), right.as_str()]), "{groups:?}");
        }

        let again = one.sov(&["send", "--to", &right, "left again"]).await;
        let answer = other.sov(&["send", "--to", &left, "right again"]).await;
        assert_eq!(again[0]["group"], answer[0]["group"], "both go on in the same group");
        let common = text(&again[0]["group"]);
        assert!(made.contains(&common), "no further group was made");
        for home in [&one, &other] {
            let mut texts = Vec::new();
            for group in &made {
                texts.extend(home.sov(&["history", group]).await.iter().map(|line| text(&line["text"])));
            }
            texts.sort_unstable();
            assert_eq!(texts, ["from the left", "from the right", "left again", "right again"]);
        }
    }
}
