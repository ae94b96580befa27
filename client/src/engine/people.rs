//! Other people: found by name or id, their manifests verified link by link, and the leaves of groups held against them.

use std::sync::Arc;

use sovereign_proto::v1::{self, find_account_request::By};

use super::{Engine, Work, lock};
use crate::{
    error::Error,
    event::Alarm,
    identity::{Pin, PinError},
    mls::Leaf,
    vault::Space,
};

/// Pages of one account's chain that are read in one go.
pub(super) const PAGES_MAX: usize = 64;

impl Engine {
    /// The accounts of these names; those not known yet are asked for.
    pub(crate) async fn resolve(self: &Arc<Self>, names: &[String]) -> Result<Vec<[u8; 16]>, Error> {
        let mut accounts = Vec::with_capacity(names.len());
        for name in names {
            let name = name.trim().to_lowercase();
            let known = self.run(|work| Ok(work.tx.get::<[u8; 16]>(Space::Name, name.as_bytes())?))?;
            accounts.push(if let Some(account) = known {
                account
            } else {
                let found = self.patiently(|| self.find(By::Username(name.clone()))).await;
                found.map_err(|error| unknown(&name, error))?
            });
        }
        accounts.sort_unstable();
        accounts.dedup();
        Ok(accounts)
    }

    /// The same, with the server asked about the known ones, too, where it can be: an account may have gone meanwhile, or
    /// have blocked this one, to which it looks gone.
    pub(crate) async fn resolve_anew(self: &Arc<Self>, names: &[String]) -> Result<Vec<[u8; 16]>, Error> {
        let live = self.is_live_soon().await;
        for name in names.iter().filter(|_| live) {
            let name = name.trim().to_lowercase();
            match self.find(By::Username(name.clone())).await {
                Err(error) if !error.passes() => return Err(unknown(&name, error)),
                _ => {}
            }
        }
        self.resolve(names).await
    }

    /// Brings an account's pin up to date.
    pub(crate) async fn learn(self: &Arc<Self>, account: [u8; 16]) -> Result<(), Error> {
        self.find(By::AccountId(account.to_vec().into())).await.map(drop)
    }

    /// The same, and an account that the server will not show is a stranger from then on.
    pub(super) async fn learn_or_estrange(self: &Arc<Self>, account: [u8; 16]) -> Result<(), Error> {
        match self.learn(account).await {
            Err(error) if error.passes() => return Err(error),
            _ => {}
        }
        if self.run(|work| work.pin(&account))?.is_none() {
            lock(&self.strangers).insert(account);
        }
        Ok(())
    }

    /// The username, asked for where it is not known yet; the id where the server does not say now.
    pub(crate) async fn username(self: &Arc<Self>, account: [u8; 16]) -> Result<String, Error> {
        if self.run(|work| work.pin(&account))?.is_none()
            && let Err(error) = self.learn(account).await
        {
            tracing::debug!(%error, "a name was not learned");
        }
        self.run(|work| work.name_of(&account))
    }

    async fn find(self: &Arc<Self>, by: By) -> Result<[u8; 16], Error> {
        let _one_at_a_time = self.learning.lock().await;
        let found = self.call(v1::FindAccountRequest { by: Some(by.clone()) }).await?;
        let malformed = || Error::Network("the server describes an account in a form that cannot be".to_owned());
        let account: [u8; 16] = found.account_id.as_ref().try_into().map_err(|_| malformed())?;
        let identity: [u8; 32] = found.identity_key.as_ref().try_into().map_err(|_| malformed())?;
        let other = match &by {
            By::AccountId(id) => id.as_ref() != account,
            By::Username(name) => *name != found.username,
        };
        if other {
            return Err(malformed());
        }
        let mut pin = self.run(|work| work.recognise(account, &found.username, identity))??;
        for _ in 0..PAGES_MAX {
            if pin.changed || pin.version >= found.manifest_version {
                break;
            }
            let request = v1::ListManifestsRequest { account_id: account.to_vec().into(), after_version: pin.version };
            let page = self.call(request).await?;
            let more = page.more;
            pin = self.run(|work| work.follow_chain(account, &page.manifests))?;
            if !more {
                break;
            }
        }
        self.run(|work| work.judge_version(account, found.manifest_version))
    }
}

impl Work<'_> {
    /// Pins an account at first sight; later its identity must be the same. The inner error is no failure of the
    /// transaction: what was noticed is kept.
    fn recognise(&mut self, account: [u8; 16], username: &str, identity: [u8; 32]) -> Result<Result<Pin, Error>, Error> {
        let Some(mut pin) = self.pin(&account)? else {
            if let Some(former) = self.tx.get::<[u8; 16]>(Space::Name, username.as_bytes())?.filter(|former| *former != account) {
                // The name stands for another account now: what was pinned under it is not silently replaced.
                if let Some(old) = self.pin(&former)?.filter(|old| !old.changed) {
                    self.distrust(old)?;
                }
                return Ok(Err(Error::IdentityChanged(username.to_owned())));
            }
            let pin = Pin::new(account, username.to_owned(), identity);
            self.put_pin(&pin)?;
            return Ok(Ok(pin));
        };
        if pin.identity_key != identity && !pin.changed {
            pin.changed = true;
            self.distrust(pin.clone())?;
        }
        Ok(Ok(pin))
    }

    /// A server that has an older list of devices than this device withholds the newer one; but not one that was restored
    /// from a backup, before the account's own devices have told it again.
    fn judge_version(&mut self, account: [u8; 16], served: u64) -> Result<[u8; 16], Error> {
        let Some(mut pin) = self.pin(&account)? else { return Ok(account) };
        if pin.version > served && !pin.changed && !pin.restored {
            let account = self.name_of(&account)?;
            self.alarm(None, Alarm::Manifest { account });
        } else if pin.restored && served >= pin.version {
            pin.restored = false;
            self.put_pin(&pin)?;
        }
        Ok(account)
    }

    /// Takes the next links of a chain; what does not continue it is not taken and gives the alarm.
    fn follow_chain(&mut self, account: [u8; 16], manifests: &[v1::Manifest]) -> Result<Pin, Error> {
        let mut pin = self.pin(&account)?.ok_or_else(|| Error::NotFound("no such account".to_owned()))?;
        for manifest in manifests {
            match pin.extend(manifest) {
                Ok(()) => self.keep_own_manifest(&pin, manifest)?,
                // Another task was faster.
                Err(PinError::OutOfOrder) => {}
                Err(PinError::Malformed | PinError::Diverging | PinError::Forged) => {
                    self.alarm(None, Alarm::Manifest { account: pin.username.clone() });
                    break;
                }
            }
        }
        self.put_pin(&pin)?;
        Ok(pin)
    }

    /// Holds every leaf of a group against the manifests. A device that its account never listed blocks sending. Who is
    /// not among `asked` came in after their manifests were asked for, and is judged the next time.
    pub(super) fn judge_members(&mut self, id: &[u8; 32], asked: &[Leaf]) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        let leaves = self.look(id, crate::mls::Group::leaves)?;
        record.blocked = None;
        record.verified = true;
        for leaf in leaves {
            let pin = self.pin(&leaf.of.account)?;
            if !pin.is_some_and(|pin| pin.ever_listed(&leaf.of.device, &leaf.key)) {
                if !asked.iter().any(|asked| asked.of == leaf.of && asked.key == leaf.key) {
                    record.verified = false;
                    continue;
                }
                let account = self.name_of(&leaf.of.account)?;
                record.blocked = Some(format!("a device that {account} never listed is in it"));
                self.alarm(Some(*id), Alarm::UnknownDevice { account });
            }
        }
        self.put_group(&record)
    }
}

pub(super) fn unknown(name: &str, error: Error) -> Error {
    match error {
        Error::Refused { code: v1::FailureCode::NotFound, .. } => Error::NotFound(format!("there is nobody called {name} here")),
        other => other,
    }
}
