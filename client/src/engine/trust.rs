//! A changed identity, looked at and accepted by a person (ADR 0023). A program cannot tell somebody who began again
//! from somebody who stands between.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sovereign_proto::v1::{self, find_account_request::By};

use super::{
    Engine, Work,
    people::PAGES_MAX,
    records::{IntentKind, Stage},
};
use crate::{error::Error, identity::Pin, mls::DeviceRef, model::IdentityInfo, vault::Space};

/// What the server says of a name now.
struct Offered {
    account: [u8; 16],
    key: [u8; 32],
    manifest_version: u64,
}

impl Engine {
    /// The identity that is pinned for a name, and the one that the server shows now.
    pub(crate) async fn identity(self: &Arc<Self>, name: &str) -> Result<IdentityInfo, Error> {
        let name = name.trim().to_lowercase();
        let pin = self.run(|work| work.pin_of(&name))?;
        let offered = self.patiently(|| self.offered(&name)).await?;
        let other = offered.account != pin.account_id || offered.key != pin.identity_key;
        Ok(IdentityInfo {
            username: pin.username,
            known: fingerprint(&pin.identity_key),
            offered: fingerprint(&offered.key),
            changed: pin.changed || other,
        })
    }

    /// Pins what the server shows for a name, if it is what the person saw and its chain of manifests holds together.
    pub(crate) async fn trust(self: &Arc<Self>, name: &str, seen: [u8; 32]) -> Result<(), Error> {
        let name = name.trim().to_lowercase();
        let former = self.run(|work| work.pin_of(&name))?;
        if former.account_id == self.run(|work| Ok(work.me().account))? {
            return Err(Error::Usage("that is this account: nobody accepts another identity for themselves".to_owned()));
        }
        let _one_at_a_time = self.learning.lock().await;
        let offered = self.patiently(|| self.offered(&name)).await?;
        if fingerprint(&offered.key) != seen {
            return Err(Error::Identity(format!("the server shows yet another identity of {name} now: look again")));
        }
        let pin = self.patiently(|| self.verified(&name, &offered)).await?;
        self.run(|work| work.accept_identity(&former, &pin))
    }

    async fn offered(&self, name: &str) -> Result<Offered, Error> {
        let found = self.call(v1::FindAccountRequest { by: Some(By::Username(name.to_owned())) }).await?;
        let malformed = || Error::Network("the server describes an account in a form that cannot be".to_owned());
        Ok(Offered {
            account: found.account_id.as_ref().try_into().map_err(|_| malformed())?,
            key: found.identity_key.as_ref().try_into().map_err(|_| malformed())?,
            manifest_version: found.manifest_version,
        })
    }

    /// The whole chain of manifests under the offered key, from version 1.
    async fn verified(&self, name: &str, offered: &Offered) -> Result<Pin, Error> {
        let broken = || Error::Identity(format!("the devices under the new identity of {name} do not hold together"));
        let mut pin = Pin::new(offered.account, name.to_owned(), offered.key);
        for _ in 0..PAGES_MAX {
            if pin.version >= offered.manifest_version {
                break;
            }
            let request = v1::ListManifestsRequest { account_id: offered.account.to_vec().into(), after_version: pin.version };
            let page = self.call(request).await?;
            page.manifests.iter().try_for_each(|manifest| pin.extend(manifest)).map_err(|_| broken())?;
            if !page.more {
                break;
            }
        }
        if pin.version == 0 || pin.version < offered.manifest_version { Err(broken()) } else { Ok(pin) }
    }
}

impl Work<'_> {
    fn pin_of(&self, name: &str) -> Result<Pin, Error> {
        let account: Option<[u8; 16]> = self.tx.get(Space::Name, name.as_bytes())?;
        let pin = account.map(|account| self.pin(&account)).transpose()?.flatten();
        pin.ok_or_else(|| Error::NotFound(format!("nobody called {name} is known here")))
    }

    /// Takes the new pin in place of the former one, and removes leaves that it does not vouch for.
    fn accept_identity(&mut self, former: &Pin, pin: &Pin) -> Result<(), Error> {
        let mut changed = self.changed_accounts()?;
        changed.retain(|account| *account != former.account_id && *account != pin.account_id);
        self.tx.put(Space::Meta, b"changed", &changed)?;
        if former.account_id != pin.account_id {
            // The name is another account's now. What is known of the old one stays under its id.
            let username = data_encoding::HEXLOWER.encode(&former.account_id);
            let old = Pin { username, changed: false, ..former.clone() };
            self.tx.put(Space::Peer, &old.account_id, &old)?;
        }
        self.put_pin(pin)?;
        for mut record in self.all_groups()?.into_iter().filter(|record| record.stage == Stage::Active) {
            let leaves = self.look(&record.id, crate::mls::Group::leaves)?;
            let theirs = || leaves.iter().filter(|leaf| leaf.of.account == pin.account_id);
            if theirs().next().is_none() {
                continue;
            }
            (record.verified, record.blocked) = (false, None);
            self.put_group(&record)?;
            let strange = |leaf: &&crate::mls::Leaf| !pin.ever_listed(&leaf.of.device, &leaf.key);
            let strangers: Vec<DeviceRef> = theirs().filter(strange).map(|leaf| leaf.of).collect();
            if !strangers.is_empty() {
                self.intend(&record.id, IntentKind::RemoveDevices(strangers), false, false)?;
            }
            self.effects.wake.insert(record.id);
        }
        Ok(())
    }
}

/// What people compare: SHA-256 of the identity key.
fn fingerprint(key: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(key).into()
}
