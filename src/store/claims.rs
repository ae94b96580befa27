//! Claims: the record that a key package was handed to somebody for a group. Redeemed once, by the commit that adds.

use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::{
    Answer, Store,
    engine::Txn,
    key_packages,
    known::KnownDevice,
    strangers::{Excess, Terms},
    types::{ClaimOutcome, ClaimedPackage, Hash, NewClaim},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, GroupId},
    limits::{CLAIMS_PER_DEVICE, CLAIMS_PER_TARGET, DEVICES_PER_CLAIM, STRANGERS_CLAIMS_PER_TARGET},
};

/// How long a claim may be replayed and redeemed.
pub(super) const CLAIM_MS: u64 = 24 * 60 * 60 * 1000;

/// Within which expired claims are deleted.
const SWEPT_MS: u64 = 60 * 1000;

/// A device to be claimed from.
struct Target {
    account: AccountId,
    account_no: i64,
    device: DeviceId,
    device_no: i64,
    /// The account has to be asked first: no last resort for the claimer, and narrower bounds.
    stranger: bool,
}

impl Store {
    /// Hands out one key package for each active device of the accounts (or for those named), but not for the
    /// claimer's own device: the oldest in stock, or, where the account is no stranger, the last resort, which stays. All in
    /// one transaction. The same
    /// claim again is answered as the first time, for 24 hours or until one of its packages was redeemed. Devices that
    /// have none left are named, and noted to be added later where their account is a member of the group.
    pub fn claim(&self, new: NewClaim) -> Answer<ClaimOutcome> {
        self.write(0, move |txn| txn.claim(&new))
    }
}

impl Txn<'_> {
    fn claim(&mut self, new: &NewClaim) -> Sql<ClaimOutcome> {
        let Some(claimer) = self.device(new.claimer)? else { return Ok(ClaimOutcome::NotFound) };
        let request_hash = request_hash(new);
        let sql = "SELECT claim_no, request_hash, claimed_at FROM claims WHERE claimer = ?1 AND claim_id = ?2";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, uint(row, 2)?));
        let before: Option<(i64, Hash, UnixMs)> =
            self.db.prepare_cached(sql)?.query_one(params![claimer.no, new.claim_id], row).optional()?;
        if let Some((claim_no, hash, claimed_at)) = before {
            let live = new.now < claimed_at.saturating_add(CLAIM_MS);
            return if live && hash == request_hash { self.replay(claim_no) } else { Ok(ClaimOutcome::Conflict) };
        }
        let targets = match self.targets(new, claimer)? {
            Ok(targets) => targets,
            Err(outcome) => return Ok(outcome),
        };
        if let Some(oldest) = self.has_claimed_enough(claimer.no, &targets, new.now)? {
            return Ok(ClaimOutcome::TooMany { again_ms: until_expired(oldest, new.now) });
        }
        self.hand_out(new, claimer, targets, request_hash)
    }

    /// Notes the claim and takes what there is.
    fn hand_out(&mut self, new: &NewClaim, claimer: KnownDevice, targets: Vec<Target>, request_hash: Hash) -> Sql<ClaimOutcome> {
        self.db
            .prepare_cached(
                "INSERT INTO claims (claimer, claim_id, group_id, request_hash, claimed_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![claimer.no, new.claim_id, new.group, Blob(request_hash), U(new.now)])?;
        let claim_no = self.db.last_insert_rowid();
        let (mut packages, mut exhausted, mut low) = (Vec::new(), Vec::new(), Vec::new());
        for target in targets {
            let taken = self.take(target.device_no, !target.stranger)?;
            let (reference, bytes) = taken.clone().unzip();
            let stranger = target.stranger.then_some(claimer.account_no);
            self.db
                .prepare_cached(
                    "INSERT INTO claim_items (claim_no, group_id, device_no, reference, bytes, stranger) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![claim_no, new.group, target.device_no, reference, bytes, stranger])?;
            if let Some((_, bytes)) = taken {
                packages.push(ClaimedPackage { account_id: target.account, device_id: target.device, bytes });
            } else {
                self.note_add(new.group, target.account_no, target.device_no, new.now)?;
                exhausted.push((target.account, target.device));
            }
            let stock = key_packages::stock(self.db, target.device_no)?;
            if stock.available < self.options.key_packages_low || stock.last_resort_used {
                low.push(target.device);
            }
        }
        Ok(ClaimOutcome::Claimed { packages, exhausted, low })
    }

    /// The first answer again; a claim of which something was redeemed is over.
    fn replay(&mut self, claim_no: i64) -> Sql<ClaimOutcome> {
        let (mut packages, mut exhausted) = (Vec::new(), Vec::new());
        let mut statement = self.db.prepare_cached(
            "SELECT account_id, device_id, bytes, redeemed FROM claim_items JOIN devices USING (device_no) JOIN accounts USING (account_no)
             WHERE claim_no = ?1 ORDER BY item_no",
        )?;
        let mut rows = statement.query([claim_no])?;
        while let Some(row) = rows.next()? {
            let (account_id, device_id) = (row.get(0)?, row.get(1)?);
            if row.get(3)? {
                return Ok(ClaimOutcome::Conflict);
            }
            match row.get(2)? {
                Some(bytes) => packages.push(ClaimedPackage { account_id, device_id, bytes }),
                None => exhausted.push((account_id, device_id)),
            }
        }
        Ok(ClaimOutcome::Claimed { packages, exhausted, low: Vec::new() })
    }

    /// Whom to claim from, or why not: an account does not exist or is disabled, has blocked the claimer or is blocked by
    /// it, or there are too many.
    fn targets(&mut self, new: &NewClaim, claimer: KnownDevice) -> Sql<Result<Vec<Target>, ClaimOutcome>> {
        let mut accounts = new.accounts.clone();
        accounts.sort_unstable();
        accounts.dedup();
        let group_no = self.group(new.group)?.map(|group| group.no);
        let (mut targets, mut strangers, mut blocked) = (Vec::new(), Vec::new(), false);
        for account in accounts {
            let sql = "SELECT account_no FROM accounts WHERE account_id = ?1 AND enabled = 1";
            let found: Option<i64> = self.db.prepare_cached(sql)?.query_one([account], |row| row.get(0)).optional()?;
            let Some(account_no) = found else { return Ok(Err(ClaimOutcome::NotFound)) };
            let terms = self.terms(claimer, account_no, group_no)?;
            match terms {
                Terms::Nobody => return Ok(Err(ClaimOutcome::NotFound)),
                Terms::Blocked => blocked = true,
                Terms::Stranger => strangers.push(account_no),
                Terms::Known => {}
            }
            let stranger = terms == Terms::Stranger;
            let sql = "SELECT device_id, device_no FROM devices WHERE account_no = ?1 AND state = 1 AND device_id <> ?2
                       ORDER BY device_no";
            let target = |row: &rusqlite::Row<'_>| {
                Ok(Target { account, account_no, device: row.get(0)?, device_no: row.get(1)?, stranger })
            };
            for found in self.db.prepare_cached(sql)?.query_map(params![account_no, new.claimer], target)? {
                targets.push(found?);
            }
        }
        targets.retain(|target| new.devices.is_empty() || new.devices.contains(&target.device));
        if blocked {
            return Ok(Err(ClaimOutcome::Blocked));
        }
        if targets.len() > DEVICES_PER_CLAIM {
            return Ok(Err(ClaimOutcome::TooLarge));
        }
        Ok(match self.exceeds(claimer.account_no, &strangers, new.now)? {
            Some(Excess::Claimer { oldest }) => {
                Err(ClaimOutcome::TooManyStrangers { again_ms: oldest.map(|oldest| until_expired(oldest, new.now)) })
            }
            Some(Excess::Target) => Err(ClaimOutcome::TooManyRequests),
            None => Ok(targets),
        })
    }

    /// Nobody empties somebody's stock, nor fills the store with claims. What a claim handed out counts until it is
    /// redeemed, expired ones no longer. When the oldest one was made of those that are in the way.
    fn has_claimed_enough(&self, claimer_no: i64, targets: &[Target], now: UnixMs) -> Sql<Option<UnixMs>> {
        let count = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, uint(row, 1)?));
        let (claims, oldest) = self
            .db
            .prepare_cached("SELECT count(*), ifnull(min(claimed_at), 0) FROM claims WHERE claimer = ?1")?
            .query_one([claimer_no], count)?;
        if claims >= CLAIMS_PER_DEVICE {
            return Ok(Some(oldest));
        }
        let sql = "SELECT count(*), ifnull(min(claimed_at), 0) FROM claim_items JOIN claims USING (claim_no)
                   WHERE device_no = ?1 AND redeemed = 0 AND claimer = ?2 AND claimed_at > ?3";
        let mut held = self.db.prepare_cached(sql)?;
        for target in targets {
            let since = U(now.saturating_sub(CLAIM_MS));
            let (held, oldest) = held.query_one(params![target.device_no, claimer_no, since], count)?;
            if held >= if target.stranger { STRANGERS_CLAIMS_PER_TARGET } else { CLAIMS_PER_TARGET } {
                return Ok(Some(oldest));
            }
        }
        Ok(None)
    }

    /// The oldest package of a device, which leaves the stock, or its last resort, if that may be, which stays; reference
    /// and bytes.
    fn take(&mut self, device_no: i64, or_last_resort: bool) -> Sql<Option<(Vec<u8>, Vec<u8>)>> {
        let sql = "SELECT key_package_no, last_resort, reference, bytes FROM key_packages
                   WHERE device_no = ?1 AND last_resort <= ?2 ORDER BY last_resort, key_package_no LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get(2)?, row.get(3)?));
        let Some((no, last_resort, reference, bytes)) =
            self.db.prepare_cached(sql)?.query_one(params![device_no, or_last_resort], row).optional()?
        else {
            return Ok(None);
        };
        let taken = if last_resort {
            "UPDATE key_packages SET used = 1 WHERE key_package_no = ?1"
        } else {
            "DELETE FROM key_packages WHERE key_package_no = ?1"
        };
        self.db.prepare_cached(taken)?.execute([no])?;
        Ok(Some((reference, bytes)))
    }

    /// Notes that a device without stock wants to be added, if its account is a member and the device is no leaf.
    fn note_add(&mut self, group: GroupId, account_no: i64, device_no: i64, now: UnixMs) -> Sql<()> {
        let Some(group) = self.group(group)? else { return Ok(()) };
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO add_tasks (log_no, device_no, asked_at)
                 SELECT ?1, ?2, ?4 WHERE EXISTS (SELECT 1 FROM windows JOIN devices USING (device_no)
                     WHERE log_no = ?1 AND account_no = ?3 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0)
                 AND NOT EXISTS (SELECT 1 FROM windows WHERE log_no = ?1 AND device_no = ?2 AND leave_seq IS NULL)",
            )?
            .execute(params![group.no, device_no, account_no, U(now)])?;
        Ok(())
    }

    /// The claim record that adding this device with this key package to the group would redeem.
    pub(super) fn open_claim(&self, group: GroupId, device_no: i64, reference: &[u8], now: UnixMs) -> Sql<Option<i64>> {
        self.db
            .prepare_cached(
                "SELECT item_no FROM claim_items JOIN claims USING (claim_no)
                 WHERE device_no = ?1 AND claim_items.group_id = ?2 AND redeemed = 0 AND reference = ?3 AND claimed_at > ?4
                 ORDER BY item_no LIMIT 1",
            )?
            .query_one(params![device_no, group, reference, U(now.saturating_sub(CLAIM_MS))], |row| row.get(0))
            .optional()
    }

    /// Redeems a claim record; false if it was redeemed already. The package itself is not kept any longer.
    pub(super) fn redeem(&mut self, item_no: i64) -> Sql<bool> {
        let sql = "UPDATE claim_items SET redeemed = 1, bytes = NULL WHERE item_no = ?1 AND redeemed = 0";
        Ok(self.db.prepare_cached(sql)?.execute([item_no])? == 1)
    }
}

/// How long a claim of then still counts. One that has expired does until it is swept away, which is soon.
fn until_expired(claimed_at: UnixMs, now: UnixMs) -> u64 {
    claimed_at.saturating_add(CLAIM_MS).saturating_sub(now).max(SWEPT_MS)
}

fn request_hash(claim: &NewClaim) -> Hash {
    let (mut accounts, mut devices) = (claim.accounts.clone(), claim.devices.clone());
    accounts.sort_unstable();
    accounts.dedup();
    devices.sort_unstable();
    devices.dedup();
    let mut hash = Sha256::new();
    hash.update(claim.group.0);
    hash.update((accounts.len() as u64).to_be_bytes());
    for account in &accounts {
        hash.update(account.0);
    }
    for device in &devices {
        hash.update(device.0);
    }
    hash.finalize().into()
}
