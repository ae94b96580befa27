use axum::http::Request;

use super::*;

/// A good upgrade of `uri` with `changes`: `(name, "")` takes a header away, everything else adds one.
fn head(uri: &str, changes: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri).body(()).expect("a request");
    let headers = request.headers_mut();
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "sovereign.v1"),
    ];
    for (name, value) in good.iter().chain(changes) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        if value.is_empty() {
            headers.remove(name);
        } else {
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
    }
    request.into_parts().0
}

fn checked(uri: &str, changes: &[(&str, &str)]) -> Result<Accepted, Refused> {
    check(&head(uri, changes), &Origins::new(["https://chat.example"]))
}

#[test]
fn answers_with_the_key_of_rfc_6455_and_the_version_alone() {
    let token = secret::token();
    let accepted = checked("/v1/ws", &[("sec-websocket-protocol", &format!("sovereign.token.{}", *token))]).expect("it is good");
    let response = accepted.response();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], "sovereign.v1");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    assert!(matches!(accepted.credential, Credential::Token(carried) if carried == token));
}

/// The URI, the changed headers, and how it is refused.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Refused);

#[test]
fn every_rule_has_its_refusal() {
    let (token, ticket) = (secret::token(), secret::ticket());
    let (bearer, entry) = (format!("Bearer {}", *token), format!("sovereign.token.{}", *token));
    let (good_ticket, token_as_ticket) = (format!("/v1/ws?ticket={}", *ticket), format!("/v1/ws?ticket={}", *token));
    let two_tickets = format!("{good_ticket}&ticket={}", *ticket);
    let token_in_query = format!("/v1/ws?token={}", *token);
    let rows: [Row<'_>; 20] = [
        ("/v1/ws", &[("origin", "https://evil.example")], Refused::ForeignOrigin),
        ("/v1/ws", &[("origin", "null")], Refused::ForeignOrigin),
        ("/v1/ws", &[("origin", "https://chat.example"), ("origin", "https://evil.example")], Refused::ForeignOrigin),
        ("/v1/ws", &[("upgrade", "")], Refused::NoUpgrade),
        ("/v1/ws", &[("connection", ""), ("connection", "close")], Refused::NoUpgrade),
        ("/v1/ws", &[("sec-websocket-version", "")], Refused::WrongVersion),
        ("/v1/ws", &[("sec-websocket-version", ""), ("sec-websocket-version", "8")], Refused::WrongVersion),
        ("/v1/ws", &[("sec-websocket-key", "")], Refused::BadKey),
        ("/v1/ws", &[("sec-websocket-key", ""), ("sec-websocket-key", "c2hvcnQ=")], Refused::BadKey),
        ("/v1/ws", &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], Refused::BadKey),
        ("/v1/ws", &[("sec-websocket-protocol", "")], Refused::NoSubprotocol),
        ("/v1/ws", &[("sec-websocket-protocol", ""), ("sec-websocket-protocol", "sovereign.v2, chat")], Refused::NoSubprotocol),
        (&token_in_query, &[], Refused::QueryNotAllowed),
        (&token_as_ticket, &[], Refused::QueryNotAllowed),
        (&two_tickets, &[], Refused::QueryNotAllowed),
        ("/v1/ws?debug=1", &[], Refused::QueryNotAllowed),
        (&good_ticket, &[("authorization", &bearer)], Refused::BadCredential),
        ("/v1/ws", &[("authorization", &bearer), ("sec-websocket-protocol", &entry)], Refused::BadCredential),
        ("/v1/ws", &[("authorization", "Basic eDp5")], Refused::BadCredential),
        ("/v1/ws", &[("authorization", "Bearer short")], Refused::BadCredential),
    ];
    for (index, (uri, changes, refusal)) in rows.into_iter().enumerate() {
        assert_eq!(checked(uri, changes).err(), Some(refusal), "row {index}");
    }
    let mut post = head("/v1/ws", &[]);
    post.method = Method::POST;
    assert_eq!(check(&post, &Origins::default()).err(), Some(Refused::NoUpgrade));
}

#[test]
fn allowed_origins_and_each_credential_alone_pass() {
    let (token, ticket) = (secret::token(), secret::ticket());
    assert!(matches!(
        checked("/v1/ws", &[("origin", "https://chat.example")]),
        Ok(Accepted { credential: Credential::None, .. })
    ));
    let bearer = checked("/v1/ws", &[("authorization", &format!("bearer {}", *token))]);
    assert!(matches!(bearer, Ok(Accepted { credential: Credential::Token(carried), .. }) if carried == token));
    let carried = checked(&format!("/v1/ws?ticket={}", *ticket), &[]);
    assert!(matches!(carried, Ok(Accepted { credential: Credential::Ticket(carried), .. }) if carried == ticket));
}

#[test]
fn refusals_say_what_would_be_right() {
    let response = Refused::WrongVersion.response();
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(Refused::NoSubprotocol.response().status(), StatusCode::BAD_REQUEST);
    assert_eq!(Refused::ForeignOrigin.response().status(), StatusCode::FORBIDDEN);
}
