//! What every request answers to everybody: the one table.
//!
//! A row stands for a request and one kind of thing that it names. Its columns are callers, each with the answers for
//! the caller's own thing, somebody else's, and one that does not exist; a single letter stands for all three.
//!
//! | letter | answer |
//! |---|---|
//! | D | done |
//! | E | done, and tells nothing: the same bytes as for what does not exist |
//! | U | unauthenticated, and the connection of a guest ends |
//! | F | forbidden |
//! | N | not found |
//! | I | invalid argument |
//! | C | conflict |
//! | - | there is no such case |
//!
//! Wherever the second and the third letter agree, and are no D, the answers agree in every byte.

use sovereign_proto::v1::*;

/// A request's rows: what it names, and the answers.
pub trait Rows {
    const ROWS: &[(&str, &str)];
}

/// A row of the table: request, what it names, and the answers.
pub struct Row {
    pub request: &'static str,
    pub names: &'static str,
    pub answers: &'static str,
}

macro_rules! table {
    ($($request:ident { $($names:literal => $answers:literal),+ $(,)? })+) => {
        $(impl Rows for $request {
            const ROWS: &[(&str, &str)] = &[$(($names, $answers)),+];
        })+
    };
}

macro_rules! every_request {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        /// All rows in the order of the service block. A request without a row does not compile.
        pub fn rows() -> Vec<Row> {
            let mut rows = Vec::new();
            $(rows.extend(<$request as Rows>::ROWS.iter().map(|(names, answers)| {
                Row { request: stringify!($name), names, answers }
            }));)*
            rows
        }
    };
}

sovereign_proto::for_each_request!(every_request);

table! {
    //                         guest pending disabled revoked operator | member former stranger blocked administrator
    // Session
    PingRequest               { "nothing"     => "D  D  U  U  D  | D   D   D   D   D" }
    SignUpRequest             { "an account"  => "DC- C U  U  C  | C   C   C   C   C" }
    SignInRequest             { "an account"  => "DUU C U  U  C  | C   C   C   C   C",
                                "a device"    => "DUU C U  U  C  | C   C   C   C   C" }
    SignInWithPasswordRequest { "a name"      => "DUU C U  U  C  | C   C   C   C   C" }
    SignOutRequest            { "nothing"     => "U  D  U  U  F  | D   D   D   D   D" }
    IssueTokenRequest         { "a token"     => "U  F  U  U  F  | DUU DUU DUU DUU DUU" }
    IssueTicketRequest        { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    // Account, directory and devices
    ChangePasswordRequest     { "a key"       => "U  F  U  U  F  | DUU DUU DUU DUU DUU" }
    FindAccountRequest        { "a name"      => "U  F  U  U  F  | DDN DDN DDN DNN DDN",
                                "an account"  => "U  F  U  U  F  | DDN DDN DDN DNN DDN" }
    ListManifestsRequest      { "an account"  => "U DDN U  U  F  | DDN DDN DDN DNN DDN" }
    PublishManifestRequest    { "an account"  => "U  F  U  U  F  | DII DII DII DII DII" }
    ListDevicesRequest        { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    // Relations
    ListRelationsRequest      { "a position"  => "U  F  U  U  F  | D   D   DEE DEE DEE" }
    SetRelationRequest        { "an account"  => "U  F  U  U  F  | IDN IDN IDN INN IDN",
                                "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    // Key packages
    PublishKeyPackagesRequest { "a device"    => "U  F  U  U  F  | DII DII DII DII DII" }
    ClaimKeyPackagesRequest   { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN",
                                "an account"  => "U  F  U  U  F  | DDN DDN DDN DNN DDN",
                                "a device"    => "U  F  U  U  F  | DEE DEE DEE DEE DEE" }
    CountKeyPackagesRequest   { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    // Groups
    ReserveGroupRequest       { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    CreateGroupRequest        { "a new group" => "U  F  U  U  F  | DCC DCC DCC DCC DCC" }
    SubmitCommitRequest       { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    ProposeRequest            { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    GetGroupInfoRequest       { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    ListGroupsRequest         { "a position"  => "U  F  U  U  F  | D   DEE DEE DEE DEE" }
    LeaveGroupRequest         { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    ConfirmEpochRequest       { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    ResetGroupRequest         { "a group"     => "U  F  U  U  F  | CCN CNN CNN CNN CNN",
                                "a new group" => "U  F  U  U  F  | C   C   C   C   C" }
    ReviveGroupRequest        { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    // Messages
    SendMessageRequest        { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    FetchEntriesRequest       { "a group"     => "U  F  U  U  F  | DDN DDN DNN DNN DNN" }
    // Presence and receipts
    SetPresenceRequest        { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    // Carol sees Ada: she has accepted her by then, with SetRelation.
    WatchPresenceRequest      { "an account"  => "U  F  U  U  F  | EDE EDE E   E   E" }
    SetPrivacyRequest         { "nothing"     => "U  F  U  U  F  | D   D   D   D   D" }
    MarkReadRequest           { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    GetReceiptsRequest        { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    // Room
    GetUsageRequest           { "a group"     => "U  F  U  U  F  | DDN DNN DNN DNN DNN" }
    // Operator
    CreateInviteRequest       { "nothing"     => "U  F  U  U  D  | F   F   F   F   F" }
    ListInvitesRequest        { "nothing"     => "U  F  U  U  D  | F   F   F   F   F" }
    RevokeInviteRequest       { "an invite"   => "U  F  U  U -DN | F   F   F   F   F" }
    SetAccountEnabledRequest  { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    ListAccountsRequest       { "a position"  => "U  F  U  U  D  | F   F   F   F   F" }
    ShowAccountRequest        { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    ResetPasswordRequest      { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    DeleteAccountRequest      { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    ListAccountDevicesRequest { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    RevokeDeviceRequest       { "a device"    => "U  F  U  U -DN | F   F   F   F   F" }
    ListSessionsRequest       { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    EndSessionRequest         { "a session"   => "U  F  U  U -DN | F   F   F   F   F" }
    SendNoticeRequest         { "a name"      => "U  F  U  U -DN | F   F   F   F   F" }
    GetStatusRequest          { "nothing"     => "U  F  U  U  D  | F   F   F   F   F" }
    // The operator names no directory: admitted, and told so.
    BackUpRequest             { "nothing"     => "U  F  U  U  I  | F   F   F   F   F" }
}
