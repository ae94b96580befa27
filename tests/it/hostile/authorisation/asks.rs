//! Every request of the table, in order but for whom it is about.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sovereign_proto::{
    Call as _,
    signed::{PURPOSE_CHANGE_PASSWORD, PURPOSE_ENROL, PURPOSE_ISSUE_TOKEN, PURPOSE_SIGN_IN, PURPOSE_SIGN_UP},
    v1::{request::Body, *},
};

use super::{
    cast::{Cast, Role, Whose, flipped},
    table::Row,
};
use crate::harness::{
    Member,
    member::wire,
    raw::Keys,
    scene::{claim_request, send_request},
};

impl Cast {
    /// The row's request of this caller about that thing, on a connection with that `Hello`.
    pub fn ask(&mut self, row: &Row, role: Role, whose: Whose, hello: &Hello) -> Body {
        match row.names {
            "nothing" => simple(row.request),
            "a name" => self.about_a_name(row.request, role, whose, hello),
            "an account" => self.about_an_account(row.request, role, whose, hello),
            "a group" => self.about_a_group(row.request, role, whose),
            _ => self.about_something(row, role, whose, hello),
        }
    }

    fn about_a_name(&mut self, request: &str, role: Role, whose: Whose, hello: &Hello) -> Body {
        let username = self.username(role, whose);
        match request {
            "SignInWithPassword" => {
                let (bob, device) = (self.part(Role::Member), Keys::new());
                SignInWithPasswordRequest {
                    username,
                    password: bob.password.clone(),
                    device_id: Bytes::copy_from_slice(&device.device),
                    device_key: Bytes::copy_from_slice(device.key.verifying_key().as_bytes()),
                    proof: Some(device.proof(hello, [0; 16], PURPOSE_ENROL)),
                }
                .into_body()
            }
            "FindAccount" => FindAccountRequest { by: Some(find_account_request::By::Username(username)) }.into_body(),
            "SetAccountEnabled" => SetAccountEnabledRequest { username, enabled: false }.into_body(),
            "ShowAccount" => ShowAccountRequest { username }.into_body(),
            "ResetPassword" => ResetPasswordRequest { username, password: String::new() }.into_body(),
            "DeleteAccount" => DeleteAccountRequest { username }.into_body(),
            "ListAccountDevices" => ListAccountDevicesRequest { username, ..Default::default() }.into_body(),
            "ListSessions" => ListSessionsRequest { username, ..Default::default() }.into_body(),
            "SendNotice" => SendNoticeRequest { username, text: "the server restarts at noon".to_owned() }.into_body(),
            other => panic!("how is {other} asked about a name?"),
        }
    }

    fn about_an_account(&mut self, request: &str, role: Role, whose: Whose, hello: &Hello) -> Body {
        let account_id = self.account(role, whose);
        match request {
            "SignUp" => {
                let mut keys = Keys::new();
                if whose == Whose::Others {
                    keys.account = self.ada.person.keys.account;
                }
                SignUpRequest {
                    username: format!("new{}", HEXLOWER.encode(&keys.device[..4])),
                    invite_code: self.invite_code.clone(),
                    identity_key: Bytes::copy_from_slice(keys.identity.verifying_key().as_bytes()),
                    manifest: Some(keys.genesis()),
                    password: String::new(),
                    proof: Some(keys.proof(hello, keys.account, PURPOSE_SIGN_UP)),
                }
                .into_body()
            }
            "SignIn" => self.sign_in(hello, |request, nina| {
                let own = Bytes::copy_from_slice(&nina.account);
                request.account_id = if whose == Whose::Own { own } else { account_id };
            }),
            "FindAccount" => FindAccountRequest { by: Some(find_account_request::By::AccountId(account_id)) }.into_body(),
            "ListManifests" => ListManifestsRequest { account_id, after_version: 0 }.into_body(),
            "PublishManifest" => {
                let nobody = Keys::new();
                let (keys, newest) = match whose {
                    Whose::Own => (self.part(role).person.keys.clone(), self.part(role).manifest.clone()),
                    Whose::Others => (self.ada.person.keys.clone(), self.ada.manifest.clone()),
                    Whose::Nobodys => (nobody.clone(), nobody.genesis()),
                };
                PublishManifestRequest { manifest: Some(keys.next_manifest(&newest, &[&keys])) }.into_body()
            }
            "SetRelation" => {
                let target = Some(set_relation_request::Target::AccountId(account_id));
                SetRelationRequest { target, change: RelationChange::Accept.into() }.into_body()
            }
            "ClaimKeyPackages" => {
                let group_id = self.part(role).group.group_id().to_vec();
                ClaimKeyPackagesRequest { account_ids: vec![account_id], ..claim_request(&group_id, &[]) }.into_body()
            }
            "WatchPresence" => WatchPresenceRequest { account_ids: vec![account_id] }.into_body(),
            other => panic!("how is {other} asked about an account?"),
        }
    }

    fn about_a_group(&mut self, request: &str, role: Role, whose: Whose) -> Body {
        let nina = self.nina.keys.clone();
        let reserved = self.part(role).reserved.clone();
        let new_group_info = self.part(role).epoch_zero(&reserved);
        let (member, group) = self.group(role, whose);
        let (group_id, epoch) = (Bytes::copy_from_slice(group.group_id().as_slice()), group.epoch().as_u64());
        match request {
            "SetRelation" => {
                let target = Some(set_relation_request::Target::GroupId(group_id));
                SetRelationRequest { target, change: RelationChange::Accept.into() }.into_body()
            }
            "ClaimKeyPackages" => claim_request(&group_id, &[&nina]).into_body(),
            "SubmitCommit" => member.update(group).request(&group_id).into_body(),
            "Propose" => {
                let proposal = group.leave_group(&member.provider, &member.signer).expect("a proposal");
                ProposeRequest { group_id, proposal: wire(&proposal) }.into_body()
            }
            "GetGroupInfo" => GetGroupInfoRequest { group_id }.into_body(),
            "LeaveGroup" => LeaveGroupRequest { group_id }.into_body(),
            "ConfirmEpoch" => {
                let verdict = Some(confirm_epoch_request::Verdict::Tag(Bytes::from_static(&[1; 32])));
                ConfirmEpochRequest { group_id, epoch, verdict }.into_body()
            }
            "ResetGroup" => ResetGroupRequest { group_id, epoch, new_group_id: reserved, group_info: new_group_info }.into_body(),
            "ReviveGroup" => {
                let tag = Bytes::from_static(&[1; 32]);
                ReviveGroupRequest { group_id, epoch, tag, group_info: member.group_info(group) }.into_body()
            }
            "SendMessage" => send_request(&group_id, member.message(group, "hello")).into_body(),
            "FetchEntries" => FetchEntriesRequest { group_id, ..Default::default() }.into_body(),
            "MarkRead" => MarkReadRequest { group_id, seq: 1 }.into_body(),
            "GetReceipts" => GetReceiptsRequest { group_id }.into_body(),
            "GetUsage" => GetUsageRequest { group_id }.into_body(),
            other => panic!("how is {other} asked about a group?"),
        }
    }

    fn about_something(&mut self, row: &Row, role: Role, whose: Whose, hello: &Hello) -> Body {
        let (ada, nobody) = (self.ada.person.keys.clone(), Keys::new());
        let own = self.part(role).person.keys.clone();
        match (row.request, row.names) {
            ("SignIn", "a device") => self.sign_in(hello, |request, nina| {
                let device = match whose {
                    Whose::Own => nina.device.to_vec(),
                    Whose::Others => ada.device.to_vec(),
                    Whose::Nobodys => flipped(&ada.device),
                };
                request.device_id = device.into();
            }),
            ("IssueToken", "a token") => match whose {
                Whose::Own => {
                    let proof = Some(own.proof(hello, own.account, PURPOSE_ISSUE_TOKEN));
                    IssueTokenRequest { token: String::new(), proof }.into_body()
                }
                Whose::Others => IssueTokenRequest { token: self.ada.token.clone(), proof: None }.into_body(),
                Whose::Nobodys => {
                    let token = sovereign::auth::secret::token().to_string();
                    IssueTokenRequest { token, proof: None }.into_body()
                }
            },
            ("ChangePassword", "a key") => {
                let signer = match whose {
                    Whose::Own => &own,
                    Whose::Others => &ada,
                    Whose::Nobodys => &nobody,
                };
                let old_password = self.part(role).password.clone();
                let proof = Some(signer.proof(hello, own.account, PURPOSE_CHANGE_PASSWORD));
                ChangePasswordRequest { old_password, new_password: "another password".to_owned(), proof }.into_body()
            }
            ("ListRelations", "a position") => ListRelationsRequest { after_account_id: self.account(role, whose) }.into_body(),
            ("ListGroups", "a position") => {
                let (_, group) = self.group(role, whose);
                ListGroupsRequest { after_group_id: Bytes::copy_from_slice(group.group_id().as_slice()) }.into_body()
            }
            ("ListAccounts", "a position") => ListAccountsRequest { after: self.username(role, whose), limit: 0 }.into_body(),
            ("PublishKeyPackages", "a device") => {
                let key_package = match whose {
                    Whose::Own => self.part(role).person.member.key_package(),
                    Whose::Others => self.ada.person.member.key_package(),
                    Whose::Nobodys => Member::new(&nobody).key_package(),
                };
                PublishKeyPackagesRequest { key_packages: vec![key_package], ..Default::default() }.into_body()
            }
            ("ClaimKeyPackages", "a device") => {
                let device = match whose {
                    Whose::Own => self.nina.keys.device.to_vec(),
                    Whose::Others => ada.device.to_vec(),
                    Whose::Nobodys => flipped(&ada.device),
                };
                let group_id = self.part(role).group.group_id().to_vec();
                let request = claim_request(&group_id, &[&self.nina.keys]);
                ClaimKeyPackagesRequest { device_ids: vec![device.into()], ..request }.into_body()
            }
            ("CreateGroup", "a new group") => {
                let (group_id, group_info) = self.new_group(role, whose);
                CreateGroupRequest { group_id, group_info, direct_key: Bytes::new() }.into_body()
            }
            ("ResetGroup", "a new group") => {
                let (new_group_id, group_info) = self.new_group(role, whose);
                let group_id = Bytes::copy_from_slice(self.part(role).group.group_id().as_slice());
                ResetGroupRequest { group_id, epoch: 0, new_group_id, group_info }.into_body()
            }
            ("RevokeInvite", "an invite") => {
                let id = if whose == Whose::Nobodys { "0".repeat(self.invite.len()) } else { self.invite.clone() };
                RevokeInviteRequest { id }.into_body()
            }
            ("RevokeDevice", "a device") => {
                let device = if whose == Whose::Nobodys { flipped(&ada.device) } else { ada.device.to_vec() };
                RevokeDeviceRequest { id: HEXLOWER.encode(&device) }.into_body()
            }
            ("EndSession", "a session") => {
                EndSessionRequest { id: if whose == Whose::Nobodys { u64::MAX / 2 } else { self.session } }.into_body()
            }
            (request, names) => panic!("how is {request} asked about {names}?"),
        }
    }

    /// Epoch 0 of a group under an id that was reserved by the caller, by Ada, or by nobody.
    fn new_group(&mut self, role: Role, whose: Whose) -> (Bytes, Bytes) {
        let adas = self.ada.reserved.clone();
        let part = self.part(role);
        let id = match whose {
            Whose::Own => part.reserved.clone(),
            Whose::Others => adas,
            Whose::Nobodys => flipped(&adas).into(),
        };
        let group_info = part.epoch_zero(&id);
        (id, group_info)
    }

    /// A sign-in of Nina's that is in order, but for what is changed about it before it is signed.
    fn sign_in(&self, hello: &Hello, change: impl FnOnce(&mut SignInRequest, &Keys)) -> Body {
        let nina = &self.nina.keys;
        let mut request = SignInRequest {
            account_id: Bytes::copy_from_slice(&nina.account),
            device_id: Bytes::copy_from_slice(&nina.device),
            ..Default::default()
        };
        change(&mut request, nina);
        let mut claimed = nina.clone();
        claimed.account = request.account_id.as_ref().try_into().expect("16 bytes");
        claimed.device = request.device_id.as_ref().try_into().expect("16 bytes");
        request.proof = Some(claimed.proof(hello, claimed.account, PURPOSE_SIGN_IN));
        request.into_body()
    }
}

fn simple(request: &str) -> Body {
    match request {
        "Ping" => PingRequest { client_time_ms: 1 }.into_body(),
        "SignOut" => SignOutRequest { forget_tokens: false }.into_body(),
        "IssueTicket" => IssueTicketRequest {}.into_body(),
        "ListDevices" => ListDevicesRequest {}.into_body(),
        "CountKeyPackages" => CountKeyPackagesRequest {}.into_body(),
        "ReserveGroup" => ReserveGroupRequest {}.into_body(),
        "SetPresence" => SetPresenceRequest { state: PresenceState::Online.into() }.into_body(),
        "SetPrivacy" => SetPrivacyRequest { hide_presence: None, hide_receipts: None }.into_body(),
        "CreateInvite" => CreateInviteRequest { uses: 1, expires_in_seconds: 3600, administrator: false }.into_body(),
        "ListInvites" => ListInvitesRequest {}.into_body(),
        "GetStatus" => GetStatusRequest {}.into_body(),
        "BackUp" => BackUpRequest { directory: String::new() }.into_body(),
        other => panic!("how is {other} asked?"),
    }
}
