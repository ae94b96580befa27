//! `ClaimKeyPackages`: one for every active device of the people to be added.

use std::sync::Arc;

use sovereign_proto::v1::{ClaimKeyPackagesRequest, ClaimKeyPackagesResponse, ClaimedKeyPackage, push};

use super::{Handle, answers, nomination, parse};
use crate::{
    caller::Device,
    limits::{ACCOUNTS_PER_CLAIM, DEVICES_PER_CLAIM},
    refusal::Refusal,
    server::Server,
    store::{ClaimOutcome, Membership, NewClaim},
};

/// When to come back where a person has to answer first, of which nobody knows when.
const PERSON_MS: u64 = 60 * 60 * 1000;

impl Handle for ClaimKeyPackagesRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ClaimKeyPackagesResponse, Refusal> {
        if self.account_ids.len() > ACCOUNTS_PER_CLAIM || self.device_ids.len() > DEVICES_PER_CLAIM {
            return Err(Refusal::too_large("at most 64 accounts and 256 devices a claim"));
        }
        let group = parse::group_id(&self.group_id)?;
        if server.store.membership(group, device.device).await? != Membership::Member {
            return Err(Refusal::not_found());
        }
        let claim = NewClaim {
            claim_id: parse::claim_id(&self.claim_id)?,
            group,
            claimer: device.device,
            accounts: self.account_ids.iter().map(|id| parse::account_id(id)).collect::<Result<_, _>>()?,
            devices: self.device_ids.iter().map(|id| parse::device_id(id)).collect::<Result<_, _>>()?,
            now: server.clock.now_ms(),
        };
        match server.store.claim(claim).await? {
            ClaimOutcome::Claimed { packages, exhausted, low } => {
                for device in low {
                    let stock = server.store.stock(device).await?;
                    server.hub.push(device, push::Body::KeyPackageStock(answers::stock(server, stock)));
                }
                if !exhausted.is_empty() {
                    nomination::raise(server, group).await?;
                }
                let key_packages = packages.into_iter().map(|claimed| ClaimedKeyPackage {
                    device: Some(answers::device(claimed.account_id, claimed.device_id)),
                    key_package: claimed.bytes.into(),
                });
                let exhausted = exhausted.into_iter().map(|(account, device)| answers::device(account, device));
                Ok(ClaimKeyPackagesResponse { key_packages: key_packages.collect(), exhausted: exhausted.collect() })
            }
            ClaimOutcome::Conflict => Err(Refusal::conflict("this claim_id stands for another claim")),
            ClaimOutcome::NotFound => Err(Refusal::not_found()),
            ClaimOutcome::TooLarge => Err(Refusal::too_large("these accounts have more than 256 devices: claim for fewer")),
            ClaimOutcome::TooMany { again_ms } => Err(Refusal::rate_limited(
                "too many key packages are claimed already: they expire unless they are used",
                again_ms,
            )),
            ClaimOutcome::TooManyStrangers { again_ms } => Err(Refusal::rate_limited(
                "this account has written to many people who have not accepted it yet: wait for some of them",
                again_ms.unwrap_or(PERSON_MS),
            )),
            ClaimOutcome::TooManyRequests => {
                Err(Refusal::rate_limited("one of these people has too many open requests now", PERSON_MS))
            }
            ClaimOutcome::Blocked => Err(Refusal::forbidden("one of these people is blocked by this account")),
        }
    }
}
