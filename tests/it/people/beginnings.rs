//! Two people who start with each other at the same instant.

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
        assert_eq!(first[0]["group"], second[0]["group"], "both messages went to one group");
        let group = text(&first[0]["group"]);

        let again = one.sov(&["send", "--to", &right, "left again"]).await;
        let answer = other.sov(&["send", "--to", &left, "right again"]).await;
        assert_eq!((&again[0]["group"], &answer[0]["group"]), (&first[0]["group"], &first[0]["group"]));
        for home in [&one, &other] {
            let mut texts: Vec<String> =
                home.sov(&["history", &group]).await.iter().map(|line| text(&line["text"])).collect();
            assert_eq!(texts[2..], ["left again", "right again"]);
            texts.sort_unstable();
            assert_eq!(texts, ["from the left", "from the right", "left again", "right again"]);
            let groups = home.groups().await;
            assert_eq!(groups.len(), 1, "no second group is left behind: {groups:?}");
            assert_eq!(members(&groups[0]), [left.as_str(), right.as_str()]);
        }
    }
}
