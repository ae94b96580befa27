//! From an intent to an accepted commit: claim, stage, submit, and try again when somebody else was first.

use std::sync::Arc;

use sovereign_proto::v1::{self, submit_commit_response::Outcome};

use super::{
    Engine,
    commits::Package,
    entropy,
    intents::Plan,
    pause,
    records::{GroupRecord, IntentKind, IntentRecord, Stage},
};
use crate::{error::Error, mls::DeviceRef, vault::Space};

/// First bound of the wait after a lost race, in milliseconds.
const RACE_MS: u64 = 100;
/// Claims after which a refused addition is not tried again: its key packages were not the reason.
const REFUSALS_MAX: u32 = 2;

impl Engine {
    /// Makes the group at the server.
    pub(super) async fn create(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let record = self.run(|work| work.known_group(id))?;
        match self.found(&record).await {
            Ok(standing) => match <[u8; 32]>::try_from(standing.as_ref()) {
                Ok(winner) if winner != *id => {
                    self.run(|work| work.lost_creation(id, winner))?;
                    // The account may be a member there already, through another device.
                    self.list_groups().await
                }
                _ => self.run(|work| work.created(id)),
            },
            Err(error) if error.passes() => Err(error),
            Err(error) => {
                // The answer to an earlier try may have been lost.
                let there = self.call(v1::GetGroupInfoRequest { group_id: id.to_vec().into() }).await;
                match there {
                    Ok(_) => self.run(|work| work.created(id)),
                    Err(other) if other.passes() => Err(other),
                    Err(_) => self.give_up(id, &error),
                }
            }
        }
    }

    /// The group that stands there instead, or nothing.
    async fn found(&self, record: &GroupRecord) -> Result<bytes::Bytes, Error> {
        let group_info = record.group_info.as_ref().map(|info| info.0.clone()).unwrap_or_default().into();
        let group_id = record.id.to_vec().into();
        if let Some((old, _)) = record.replaces {
            let (old, epoch) = (old.to_vec().into(), record.listed_epoch);
            let request = v1::ResetGroupRequest { group_id: old, epoch, new_group_id: group_id, group_info };
            return Ok(self.call(request).await?.successor);
        }
        let direct_key = record.direct_key.map(|key| key.to_vec().into()).unwrap_or_default();
        Ok(self.call(v1::CreateGroupRequest { group_id, group_info, direct_key }).await?.existing_group_id)
    }

    /// Comes in by an external commit.
    pub(super) async fn join_externally(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        match self.call(v1::GetGroupInfoRequest { group_id: id.to_vec().into() }).await {
            Ok(info) => self.run(|work| work.stage_external(id, &info.group_info)),
            Err(error) if error.passes() => Err(error),
            Err(error) => {
                tracing::debug!(%error, "no way into the group");
                self.run(|work| {
                    let record = work.known_group(id)?;
                    work.close_group(record)
                })
            }
        }
    }

    /// Takes an intent one step further.
    pub(super) async fn commit(self: &Arc<Self>, id: &[u8; 32], intent: &IntentRecord) -> Result<(), Error> {
        let result = match self.run(|work| work.plan(id, intent))? {
            Plan::Done => Ok(()),
            Plan::Refuse(error) => Err(error),
            Plan::Leave => self.leave(id).await,
            Plan::Commit { accounts, devices } => match self.prepare(id, intent, &accounts, &devices).await {
                Ok(true) => return Ok(()),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            },
        };
        match result {
            Err(error) if error.passes() => Err(error),
            Err(error) if self.run(|work| work.do_without(id, intent, &error))? => Ok(()),
            result => self.run(|work| work.finish_intent(id, &intent.id, result)),
        }
    }

    /// Submits the bundle that waits, and lives with the answer.
    pub(super) async fn submit(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let Some(bundle) = self.run(|work| work.bundle(id))? else { return Ok(()) };
        let hash = bundle.commit_hash;
        let stale = match self.call_submit(bundle.request(id)).await {
            Ok(Outcome::Accepted(accepted)) => {
                return self
                    .run(|work| work.accept_bundle(id, &hash, accepted.seq, accepted.running_hash.as_ref().try_into().ok()));
            }
            Ok(Outcome::Rejected(rejected)) => rejected.stale.unwrap_or_default(),
            Err(error) if error.passes() => return Err(error),
            Err(error) => return self.refused(id, &hash, bundle.intent, bundle.external, error).await,
        };
        self.run(|work| work.drop_bundle(id, &hash))?;
        if !bundle.external {
            self.catch_up(id, stale).await?;
        }
        // Those who lost together do not come back together.
        pause(RACE_MS, 1, entropy::below(RACE_MS)).await;
        Ok(())
    }

    /// Everything that an intent's commit needs, then the bundle. False: there is nothing left to do.
    async fn prepare(
        self: &Arc<Self>,
        id: &[u8; 32],
        intent: &IntentRecord,
        accounts: &[[u8; 16]],
        devices: &[DeviceRef],
    ) -> Result<bool, Error> {
        let mut packages = Vec::new();
        if let IntentKind::RemoveDevices(devices) = &intent.kind {
            for device in devices.iter().filter(|_| intent.nominated) {
                self.learn(device.account).await?;
            }
        }
        if !accounts.is_empty() {
            for account in accounts {
                self.learn(*account).await?;
            }
            packages = self.claim(id, intent, accounts, devices).await?;
        }
        self.run(|work| work.stage_intent(id, intent, &packages))
    }

    async fn claim(
        self: &Arc<Self>,
        id: &[u8; 32],
        intent: &IntentRecord,
        accounts: &[[u8; 16]],
        devices: &[DeviceRef],
    ) -> Result<Vec<Package>, Error> {
        let request = v1::ClaimKeyPackagesRequest {
            group_id: id.to_vec().into(),
            account_ids: accounts.iter().map(|account| account.to_vec().into()).collect(),
            claim_id: intent.claim.unwrap_or(intent.id).to_vec().into(),
            device_ids: devices.iter().map(|device| device.device.to_vec().into()).collect(),
        };
        let claimed = match self.call(request).await {
            // The server has forgotten the claim, or it is over: the next try claims anew.
            Err(Error::Refused { code: v1::FailureCode::Conflict, .. }) if self.run(|work| work.claim_anew(id, intent))? => {
                return Err(Error::Network("the claim of key packages is made anew".to_owned()));
            }
            claimed => claimed?,
        };
        let package = |claimed: v1::ClaimedKeyPackage| {
            let device = claimed.device?;
            let of = DeviceRef {
                account: device.account_id.as_ref().try_into().ok()?,
                device: device.device_id.as_ref().try_into().ok()?,
            };
            Some(Package { of, bytes: claimed.key_package })
        };
        let packages: Vec<Package> = claimed.key_packages.into_iter().filter_map(package).collect();
        let own = self.run(|work| Ok(work.me().account))?;
        if let IntentKind::AddMembers(wanted) = &intent.kind {
            for account in wanted.iter().filter(|account| **account != own && accounts.contains(account)) {
                if !packages.iter().any(|package| package.of.account == *account) {
                    let name = self.run(|work| work.name_of(account))?;
                    return Err(Error::NotFound(format!("{name} has no device that can be added now")));
                }
            }
        }
        Ok(packages)
    }

    /// Proposes the removal of the own leaf, and asks the server to let this account go. In this order, so that whoever
    /// is asked to commit the removal has seen that it was wished.
    async fn leave(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let proposal = self.run(|work| {
            let mls = work.mls;
            Ok(work.change(id, |provider, group| mls.propose_leave(provider, group))??)
        })?;
        match self.call(v1::ProposeRequest { group_id: id.to_vec().into(), proposal: proposal.into() }).await {
            Ok(_) => {}
            Err(error) if error.passes() => return Err(error),
            // The group moved on: it is proposed again in the next epoch.
            Err(error) => tracing::debug!(%error, "the proposal to leave was not taken"),
        }
        self.call(v1::LeaveGroupRequest { group_id: id.to_vec().into() }).await?;
        self.run(|work| {
            let mut record = work.known_group(id)?;
            record.leaving = record.stage == Stage::Active;
            work.put_group(&record)
        })
    }

    async fn call_submit(&self, request: v1::SubmitCommitRequest) -> Result<Outcome, Error> {
        use sovereign_proto::v1::failure::Details;
        match super::remote::call(&*self.remote, request).await {
            Ok(response) => response.outcome.ok_or_else(|| Error::Network("the server's answer is empty".to_owned())),
            Err(crate::connection::CallError::Refused(v1::Failure { details: Some(Details::StaleEpoch(stale)), .. })) => {
                Ok(Outcome::Rejected(v1::CommitRejected { stale: Some(stale) }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The server will not take this bundle.
    async fn refused(
        self: &Arc<Self>,
        id: &[u8; 32],
        hash: &[u8; 32],
        intent: Option<[u8; 16]>,
        external: bool,
        error: Error,
    ) -> Result<(), Error> {
        let refused = matches!(error, Error::Refused { code: v1::FailureCode::InvalidArgument, .. });
        self.run(|work| {
            work.drop_bundle(id, hash)?;
            let intents = work.intents(id)?;
            let Some((_, intent)) = intents.into_iter().find(|(_, other)| Some(other.id) == intent) else { return Ok(()) };
            // Key packages that were claimed long ago are added no more: others are claimed.
            let again = refused && intent.adds() && intent.renewals < REFUSALS_MAX && work.claim_anew(id, &intent)?;
            if again { Ok(()) } else { work.finish_intent(id, &intent.id, Err(error.clone())) }
        })?;
        if matches!(error, Error::Refused { code: v1::FailureCode::Forbidden, .. }) {
            // It may be frozen.
            self.list_groups().await?;
        }
        // Tried again with a fresh GroupInfo, after a wait.
        if external { Err(error) } else { Ok(()) }
    }

    /// The group never came to be.
    fn give_up(self: &Arc<Self>, id: &[u8; 32], error: &Error) -> Result<(), Error> {
        self.run(|work| {
            work.fail_all(id, error)?;
            for (_, intent) in work.intents(id)? {
                work.finish_intent(id, &intent.id, Err(error.clone()))?;
            }
            let mut record = work.known_group(id)?;
            if record.replaces.is_some() {
                // A reset that came to nothing leaves nothing.
                return Ok(work.tx.remove(Space::Group, id)?);
            }
            record.stage = Stage::Left;
            work.put_group(&record)
        })
    }
}
