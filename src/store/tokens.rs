//! Session tokens, kept as hashes, in families that a replay ends.

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{Hash, NewToken, RotateOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::{clock::UnixMs, ids::DeviceId, limits::TOKENS_PER_DEVICE};

/// How long a token stays good after it was replaced, if its successor is not used earlier.
const OVERLAP_MS: u64 = 60_000;

/// A token's row.
struct Kept {
    device_no: i64,
    family: Hash,
    expires_at: UnixMs,
    used: bool,
    successor: Option<Hash>,
    replaced_at: UnixMs,
}

/// How a token stands when it is shown.
enum Standing {
    Good,
    /// Replaced, and its successor was used: whoever shows it has stolen it, or was stolen from.
    Replayed,
    Over,
}

impl Store {
    /// Stores a token, a family's first or the successor of one. A repeated rotation is issued again: the successor
    /// that nobody has used is replaced.
    pub fn issue_token(&self, new: NewToken) -> Answer<RotateOutcome> {
        self.write(0, move |txn| txn.issue_token(&new))
    }

    /// The device a token stands for and when the token ends, if it is good and the device may still come in. The first
    /// use of a successor ends its predecessor; a replay ends the family.
    pub fn token(&self, hash: Hash, now: UnixMs) -> Answer<Option<(DeviceId, UnixMs)>> {
        self.relieve(move |txn| txn.use_token(hash, now))
    }

    /// Forgets every token of a device.
    pub fn revoke_tokens(&self, device: DeviceId) -> Answer<()> {
        self.relieve(move |txn| {
            let sql = "DELETE FROM tokens WHERE device_no = (SELECT device_no FROM devices WHERE device_id = ?1)";
            txn.db.prepare_cached(sql)?.execute([device]).map(drop)
        })
    }
}

impl Txn<'_> {
    fn issue_token(&mut self, new: &NewToken) -> Sql<RotateOutcome> {
        let Some(device) = self.device(new.device_id)? else { return Ok(RotateOutcome::Unknown) };
        let Some(replaced) = new.replaces else {
            self.store_token(new, device.no, new.hash)?;
            return Ok(RotateOutcome::Issued);
        };
        let Some(old) = self.kept(replaced)?.filter(|old| old.device_no == device.no) else { return Ok(RotateOutcome::Unknown) };
        match self.standing(&old, new.now)? {
            Standing::Over => return Ok(RotateOutcome::Unknown),
            Standing::Replayed => {
                self.end_family(old.family)?;
                return Ok(RotateOutcome::Replayed);
            }
            Standing::Good => {}
        }
        if old.successor == Some(new.hash) {
            return Ok(RotateOutcome::Issued);
        }
        if let Some(unused) = old.successor {
            self.db.prepare_cached("DELETE FROM tokens WHERE hash = ?1")?.execute([Blob(unused)])?;
        }
        self.store_token(new, device.no, old.family)?;
        self.db
            .prepare_cached("UPDATE tokens SET successor = ?2, replaced_at = coalesce(replaced_at, ?3) WHERE hash = ?1")?
            .execute(params![Blob(replaced), Blob(new.hash), U(new.now)])?;
        Ok(RotateOutcome::Issued)
    }

    fn use_token(&mut self, hash: Hash, now: UnixMs) -> Sql<Option<(DeviceId, UnixMs)>> {
        let Some(token) = self.kept(hash)? else { return Ok(None) };
        match self.standing(&token, now)? {
            Standing::Over => return Ok(None),
            Standing::Replayed => {
                self.end_family(token.family)?;
                return Ok(None);
            }
            Standing::Good => {}
        }
        if !token.used {
            self.db.prepare_cached("UPDATE tokens SET used = 1 WHERE hash = ?1")?.execute([Blob(hash)])?;
        }
        let sql =
            "SELECT device_id FROM devices JOIN accounts USING (account_no) WHERE device_no = ?1 AND state < 2 AND enabled = 1";
        let device = self.db.prepare_cached(sql)?.query_one([token.device_no], |row| row.get(0)).optional()?;
        Ok(device.map(|device| (device, token.expires_at)))
    }

    fn standing(&self, token: &Kept, now: UnixMs) -> Sql<Standing> {
        if let Some(successor) = token.successor
            && self.kept(successor)?.is_none_or(|successor| successor.used)
        {
            return Ok(Standing::Replayed);
        }
        let overlap = token.successor.is_none() || now < token.replaced_at.saturating_add(OVERLAP_MS);
        Ok(if now < token.expires_at && overlap { Standing::Good } else { Standing::Over })
    }

    fn kept(&self, hash: Hash) -> Sql<Option<Kept>> {
        self.db
            .prepare_cached(
                "SELECT device_no, family, expires_at, used, successor, coalesce(replaced_at, 0) FROM tokens WHERE hash = ?1",
            )?
            .query_one([Blob(hash)], |row| {
                Ok(Kept {
                    device_no: row.get(0)?,
                    family: row.get(1)?,
                    expires_at: uint(row, 2)?,
                    used: row.get(3)?,
                    successor: row.get(4)?,
                    replaced_at: uint(row, 5)?,
                })
            })
            .optional()
    }

    fn store_token(&mut self, new: &NewToken, device_no: i64, family: Hash) -> Sql<()> {
        self.db
            .prepare_cached("INSERT OR IGNORE INTO tokens (hash, device_no, family, expires_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![Blob(new.hash), device_no, Blob(family), U(new.expires_at)])?;
        // The oldest go: a token's successor expires later than itself, so no family loses its newest first.
        self.db
            .prepare_cached(
                "DELETE FROM tokens WHERE device_no = ?1 AND hash <> ?2 AND hash IN
                 (SELECT hash FROM tokens WHERE device_no = ?1 ORDER BY expires_at DESC LIMIT -1 OFFSET ?3)",
            )?
            .execute(params![device_no, Blob(new.hash), TOKENS_PER_DEVICE])?;
        Ok(())
    }

    fn end_family(&mut self, family: Hash) -> Sql<()> {
        self.db.prepare_cached("DELETE FROM tokens WHERE family = ?1")?.execute([Blob(family)]).map(drop)
    }
}
