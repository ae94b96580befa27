//! Names, ids and positions that mean something to a database, a terminal or an eye: they are what they are, or refused.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sovereign_proto::v1::{
    EndSessionRequest, FailureCode, FetchEntriesRequest, FindAccountRequest, GetGroupInfoRequest, ListAccountDevicesRequest,
    ListAccountsRequest, ListGroupsRequest, ListManifestsRequest, ListRelationsRequest, ListSessionsRequest, RevokeDeviceRequest,
    RevokeInviteRequest, SendNoticeRequest, ShowAccountRequest, find_account_request::By,
};

use super::authorisation::Books;
use crate::harness::{
    Raw, TestServer,
    control::Control,
    raw::Keys,
    scene::{Person, pair},
};

/// Text that is no name: for SQL, for terminals, for eyes, and for file systems.
const NO_NAMES: [&str; 24] = [
    "",
    " ",
    "a",
    "%",
    "ad%",
    "%%%",
    "ada' OR '1'='1",
    "ada'; DROP TABLE accounts; --",
    "ada\" --",
    "ada\\",
    "ada\0",
    "ada\n",
    "ada\r\nX-Header: y",
    "\u{1b}[2Jada",
    "ada\u{202e}nimda",
    "\u{2066}ada",
    "a\u{200b}da",
    "\u{feff}ada",
    "\u{430}d\u{430}",
    "ａｄａ",
    "ada\u{301}",
    "../../ada",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
];

#[tokio::test]
async fn a_name_is_taken_as_it_is_or_refused_and_no_wildcard() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let (_adx, _) = Raw::sign_up(&server, "ad_").await;
    let mut operator = Control::connect(&server).await;
    let books = Books::open(&server);
    let code = server.invite_code().await;
    let before = books.copy();
    let long = "a".repeat(100_000);
    for name in NO_NAMES.into_iter().chain([long.as_str(), &long[..33]]) {
        let shown = &name[..name.floor_char_boundary(40)];
        let find = FindAccountRequest { by: Some(By::Username(name.to_owned())) };
        assert_eq!(ada.refused(find).await, FailureCode::InvalidArgument, "{shown:?} is found");
        if name.len() < 1000 {
            let mut guest = Raw::connect(&server).await;
            let request = guest.sign_up_request(&Keys::new(), name, &code);
            assert_eq!(guest.refused(request).await, FailureCode::InvalidArgument, "{shown:?} signs up");
        }
        let username = name.to_owned();
        let refused = operator.call(ShowAccountRequest { username: username.clone() }).await.err().expect("refused").code();
        assert_eq!(refused, FailureCode::InvalidArgument, "{shown:?} is shown");
        if !name.is_empty() {
            let list = ListAccountDevicesRequest { username: username.clone(), ..ListAccountDevicesRequest::default() };
            let refused = operator.call(list).await.err().map(|failure| failure.code());
            assert_eq!(refused, Some(FailureCode::InvalidArgument), "{shown:?} has devices");
            let list = ListSessionsRequest { username: username.clone(), ..ListSessionsRequest::default() };
            let refused = operator.call(list).await.err().map(|failure| failure.code());
            assert_eq!(refused, Some(FailureCode::InvalidArgument), "{shown:?} has sessions");
            let notice = SendNoticeRequest { username, text: "hello".to_owned() };
            let refused = operator.call(notice).await.err().map(|failure| failure.code());
            assert_eq!(refused, Some(FailureCode::InvalidArgument), "{shown:?} is noticed");
        }
    }
    assert_eq!(before.differences(&books.copy()), Vec::<String>::new(), "names that are none leave nothing");
    // An underscore is a letter of names, and stands for itself alone.
    let find = |name: &str| FindAccountRequest { by: Some(By::Username(name.to_owned())) };
    assert_eq!(ada.call(find("ad_")).await.expect("found").username, "ad_");
    assert_eq!(ada.call(find("ADA")).await.expect("found").username, "ada");
    assert_eq!(ada.refused(find("a__")).await, FailureCode::NotFound);
}

#[tokio::test]
async fn ids_and_positions_of_wrong_length_are_refused_and_made_up_ones_lead_nowhere() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let books = Books::open(&server);
    let before = books.copy();
    for length in [1, 15, 17, 31, 33, 64, 10_000] {
        let id = Bytes::from(vec![b'%'; length]);
        let raw = &mut ada.person.raw;
        let wanted = FailureCode::InvalidArgument;
        assert_eq!(raw.refused(FindAccountRequest { by: Some(By::AccountId(id.clone())) }).await, wanted);
        assert_eq!(raw.refused(ListManifestsRequest { account_id: id.clone(), after_version: 0 }).await, wanted);
        assert_eq!(raw.refused(ListRelationsRequest { after_account_id: id.clone() }).await, wanted);
        assert_eq!(raw.refused(ListGroupsRequest { after_group_id: id.clone() }).await, wanted);
        assert_eq!(raw.refused(GetGroupInfoRequest { group_id: id.clone() }).await, wanted);
        assert_eq!(raw.refused(FetchEntriesRequest { group_id: id, ..FetchEntriesRequest::default() }).await, wanted);
    }
    // Positions that nobody was given: pages of the own things, and of nothing else.
    for byte in [0, 0x25, 0x7f, 0xff] {
        let groups = stranger.raw.call(ListGroupsRequest { after_group_id: vec![byte; 32].into() }).await.expect("a page");
        let relations =
            stranger.raw.call(ListRelationsRequest { after_account_id: vec![byte; 16].into() }).await.expect("a page");
        assert!(groups.groups.is_empty() && relations.contacts.is_empty(), "a stranger has neither groups nor contacts");
    }
    let group_id = Bytes::copy_from_slice(ada.group.group_id().as_slice());
    for (from_seq, limit, backward) in [
        (0, u32::MAX, false),
        (u64::MAX, 1, false),
        (u64::MAX, u32::MAX, true),
        (0, 0, true),
        (1 << 63, 7, true),
        (1 << 40, 9, false),
    ] {
        let request = FetchEntriesRequest { group_id: group_id.clone(), from_seq, backward, limit };
        let page = ada.person.raw.call(request.clone()).await.expect("a page, if an empty one");
        assert!(page.entries.len() <= 256 && page.entries.iter().all(|entry| entry.seq <= page.head));
        assert_eq!(stranger.raw.refused(request).await, FailureCode::NotFound);
    }
    assert_eq!(before.differences(&books.copy()), Vec::<String>::new(), "reading leaves nothing");
}

#[tokio::test]
async fn an_operators_slip_hits_nobody() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    let books = Books::open(&server);
    let before = books.copy();
    let device = HEXLOWER.encode(&keys.device);
    let near = format!("{}%", &device[..8]);
    for id in ["", "%", "_", "%%%%%%%%", "________", "' OR 1=1 --", "zzzzzzzz", &near, &device[..7], &device.repeat(2)] {
        let refused = operator.call(RevokeDeviceRequest { id: id.to_owned() }).await.err().map(|failure| failure.code());
        assert_eq!(refused, Some(FailureCode::InvalidArgument), "{id:?} is a device");
        let refused = operator.call(RevokeInviteRequest { id: id.to_owned() }).await.err().map(|failure| failure.code());
        assert!(matches!(refused, Some(FailureCode::InvalidArgument | FailureCode::NotFound)), "{id:?} is an invite");
    }
    for id in [0, u64::MAX, 1 << 40] {
        let refused = operator.call(EndSessionRequest { id }).await.err().map(|failure| failure.code());
        assert_eq!(refused, Some(FailureCode::NotFound), "session {id}");
    }
    for after in ["'", "%", "zzz", "\u{10ffff}", "ada\0"] {
        let page = operator.call(ListAccountsRequest { after: after.to_owned(), limit: u32::MAX }).await.expect("a page");
        assert!(page.accounts.len() <= 1, "{after:?}");
    }
    assert_eq!(before.differences(&books.copy()), Vec::<String>::new(), "slips leave nothing, not even in the audit");
    ada.call(sovereign_proto::v1::PingRequest { client_time_ms: 0 }).await.expect("Ada is where she was");
}
