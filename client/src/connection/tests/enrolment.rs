//! The one request that enrols.

use std::sync::Arc;

use sovereign_proto::v1::{self, push, request, response};

use crate::{
    connection::{
        EnrolError, First,
        enrol::{enrol_on, introduced},
        fake_server::{FakeDialer, FakeServer},
    },
    device_key::DeviceKey,
};

#[tokio::test(start_paused = true)]
async fn enrolling_proves_the_key_and_tells_a_refusal() {
    let server = FakeServer::new(1);
    let (mut dialer, mut peers) = FakeDialer::new();
    for refused in [false, true] {
        let first = First::Enrol {
            username: "ann".to_owned(),
            password: zeroize::Zeroizing::new("secret-word".to_owned()),
            device_id: [5; 16],
            signing_key: Arc::new(DeviceKey::generate()),
        };
        let serve = async {
            let mut peer = peers.recv().await.expect("dialled");
            peer.push(push::Body::Hello(server.hello())).await;
            let (id, request::Body::SignInWithPassword(enrol)) = peer.request().await else { panic!("an enrolment") };
            assert_eq!((enrol.username.as_str(), enrol.device_key.len()), ("ann", 32));
            if refused {
                peer.refuse(id, v1::Failure { message: "wrong password".to_owned(), ..v1::Failure::default() }).await;
            } else {
                let session = v1::Session { username: "ann".to_owned(), ..v1::Session::default() };
                let response = v1::SignInWithPasswordResponse { session: Some(session) };
                peer.answer(id, response::Body::SignInWithPassword(response)).await;
            }
            assert!(peer.next().await.is_none());
        };
        let id = server.id();
        let enrol = async {
            let (socket, verified) = introduced(&mut dialer, &id).await?;
            enrol_on(socket, &verified, &id, first).await
        };
        match tokio::join!(enrol, serve).0 {
            Ok(session) => assert!(!refused && session.username == "ann"),
            Err(EnrolError::Refused(failure)) => assert!(refused && failure.message == "wrong password"),
            Err(other) => panic!("{other}"),
        }
    }
}
