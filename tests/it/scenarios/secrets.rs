//! Canaries: what must never be found in the server's data or log, and a search that finds what was planted on purpose.

use std::fs;

use sovereign_proto::{signed::PURPOSE_ISSUE_TOKEN, v1::IssueTokenRequest};

use crate::harness::{Raw, TestServer, raw::Keys, scene::pair, search::search};

#[tokio::test]
async fn no_text_password_token_or_code_is_found_on_the_server() {
    let server = TestServer::start_with(&["--log-level", "trace"]).await;
    let code = server.invite_code().await;
    let password = "canary-password-4f1c".to_owned();
    let (mut raw, keys) = (Raw::connect(&server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "carol", &code);
    request.password.clone_from(&password);
    raw.call(request).await.expect("signed up");
    let proof = Some(keys.proof(&raw.hello, keys.account, PURPOSE_ISSUE_TOKEN));
    let token = raw.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;
    let (mut ada, mut bob) = pair(&server).await;
    let text = "canary-text-93ab".to_owned();
    ada.person.send(&mut ada.group, &text).await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, text);

    let needles = [text, password, token, code];
    let directory = server.data().parent().expect("the data directory has a parent").to_owned();
    assert_eq!(search(&directory, &needles), Vec::<String>::new());
    assert!(server.log().contains("TRACE") || server.log().contains("DEBUG"), "the log is as talkative as it can be");
    fs::write(directory.join("planted"), format!("xx{}xx", needles[0])).expect("a planted canary");
    assert_eq!(search(&directory, &needles).len(), 1, "the search finds what was planted");
}
