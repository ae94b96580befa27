//! Invites: kept as hashes of their codes, used up by sign-ups, revoked by operators.

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{Hash, Invite, InviteUse},
    values::{Blob, Sql, U, uint},
};
use crate::clock::UnixMs;

impl Store {
    /// Adds an invite; `hash` is SHA-256 of its code. An administrator's invite makes the account an administrator's.
    pub fn create_invite(&self, hash: Hash, uses: u32, expires_at: UnixMs, administrator: bool, now: UnixMs) -> Answer<()> {
        self.write(0, move |txn| {
            txn.db
                .prepare_cached(
                    "INSERT INTO invites (hash, uses_left, expires_at, administrator, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![Blob(hash), uses, U(expires_at), administrator, U(now)])?;
            txn.audit(if administrator { "create administrator invite" } else { "create invite" }, &hash[..8], now)
        })
    }

    /// Whether somebody could sign up by it now. Asked before anything dear is done for a guest; what counts is the
    /// answer of [`Store::sign_up`].
    pub fn is_invite_good(&self, hash: Hash, now: UnixMs) -> Answer<bool> {
        self.read(move |db| {
            let sql = "SELECT 1 FROM invites WHERE hash = ?1 AND uses_left > 0 AND expires_at > ?2 AND revoked = 0";
            db.prepare_cached(sql)?.exists(params![Blob(hash), U(now)])
        })
    }

    /// Every invite that is still kept, newest first, at most 1,000.
    pub fn invites(&self) -> Answer<Vec<Invite>> {
        self.read(|db| {
            let sql = "SELECT hash, uses_left, expires_at, administrator, created_at, revoked FROM invites ORDER BY created_at DESC, hash LIMIT 1000";
            db.prepare_cached(sql)?
                .query_map([], |row| {
                    Ok(Invite {
                        hash: row.get(0)?,
                        uses_left: row.get(1)?,
                        expires_at: uint(row, 2)?,
                        administrator: row.get(3)?,
                        created_at: uint(row, 4)?,
                        revoked: row.get(5)?,
                    })
                })?
                .collect()
        })
    }

    /// Revokes the one invite whose hash starts with these at least 8 hex digits. False: none does, or several do.
    pub fn revoke_invite(&self, prefix: String, now: UnixMs) -> Answer<bool> {
        self.relieve(move |txn| {
            let prefix = prefix.to_ascii_lowercase();
            if prefix.len() < 8 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Ok(false);
            }
            let sql = "SELECT hash FROM invites WHERE substr(lower(hex(hash)), 1, length(?1)) = ?1 LIMIT 2";
            let found: Vec<Hash> = txn.db.prepare_cached(sql)?.query_map([prefix], |row| row.get(0))?.collect::<Sql<_>>()?;
            let [hash] = found[..] else { return Ok(false) };
            txn.db.prepare_cached("UPDATE invites SET revoked = 1 WHERE hash = ?1")?.execute([Blob(hash)])?;
            txn.audit("revoke invite", &hash[..8], now)?;
            Ok(true)
        })
    }
}

impl Txn<'_> {
    /// Whether a sign-up may go on, and if so whether it makes an administrator.
    pub(super) fn admits(&self, invite: InviteUse, now: UnixMs) -> Sql<Option<bool>> {
        match invite {
            InviteUse::None => Ok(Some(false)),
            InviteUse::Code(hash) => self
                .db
                .prepare_cached(
                    "SELECT administrator FROM invites WHERE hash = ?1 AND uses_left > 0 AND expires_at > ?2 AND revoked = 0",
                )?
                .query_one(params![Blob(hash), U(now)], |row| row.get(0))
                .optional(),
        }
    }

    /// Takes one use.
    pub(super) fn use_invite(&mut self, invite: InviteUse) -> Sql<()> {
        if let InviteUse::Code(hash) = invite {
            self.db.prepare_cached("UPDATE invites SET uses_left = uses_left - 1 WHERE hash = ?1")?.execute([Blob(hash)])?;
        }
        Ok(())
    }
}
