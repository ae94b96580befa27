//! Canaries: what must never be found in the server's data or log, and a search that finds what was planted on purpose.

use std::{fs, path::Path};

use sovereign_proto::{signed::PURPOSE_ISSUE_TOKEN, v1::IssueTokenRequest};

use crate::harness::{Raw, TestServer, raw::Keys, scene::pair};

/// Files below `directory` that hold any of the needles, as they are, in hex, or in base64.
fn search(directory: &Path, needles: &[String]) -> Vec<String> {
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for needle in needles {
        let bytes = needle.as_bytes();
        forms.push(bytes.to_vec());
        forms.push(data_encoding::HEXLOWER.encode(bytes).into_bytes());
        forms.push(data_encoding::BASE64.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes());
    }
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("readable").map(|entry| entry.expect("an entry").path()));
        } else if let Ok(content) = fs::read(&path) {
            for form in &forms {
                if content.windows(form.len()).any(|window| window == form) {
                    found.push(format!("{}: {}", path.display(), String::from_utf8_lossy(form)));
                }
            }
        }
    }
    found
}

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
