//! What becomes of a store that is put back from a backup (ADR 0026). Whatever happened since the backup was made is not
//! known any more, so nothing that may have been used since is used again: no seq, no key package, no token, no invite;
//! and no group goes on before its members have said where it stands.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest as _, Sha256};
use sovereign_proto::log::running_hash;

use super::{
    connection, copies,
    known::stored_head,
    lock::{OpenError, private},
    log, migrate,
    types::Hash,
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::{EPOCH_MS, UnixMs},
    ids::LogId,
};

/// Entries that a log may have had, on average, in each second since then: a restored log goes on behind all of them.
const SEQS_PER_GENERATION: u64 = 1 << 10;
/// Seqs have 40 bits, which lasts until the year 2060.
const GENERATION_MAX: u64 = (1 << 30) - 1;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The store's generation from now on.
    pub generation: u64,
    /// Groups that wait for their members.
    pub groups: u64,
    /// One-time key packages that were dropped.
    pub key_packages: u64,
    /// Session tokens that were dropped.
    pub tokens: u64,
    /// Invites that were revoked.
    pub invites: u64,
}

/// Makes a copy of a database the one of a restored server. Brings its schema up to date first. The file is one again
/// when this is done; whatever fails leaves it unusable.
pub fn restore(path: &Path, now: UnixMs) -> Result<Restored, OpenError> {
    let version = migrate::version(path)?;
    let mut db = connection::writer(path)?;
    migrate::steps(&mut db, version, migrate::KNOWN)?;
    let transaction = db.transaction()?;
    let restored = forget_what_may_have_been(&transaction, now)?;
    transaction.commit()?;
    copies::check(&db, "quick_check")?;
    db.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0))?;
    db.close().map_err(|(_, error)| error)?;
    private(path)?.sync_all()?;
    Ok(restored)
}

fn forget_what_may_have_been(db: &Transaction<'_>, now: UnixMs) -> Result<Restored, OpenError> {
    let before = db.query_one("SELECT store_generation FROM meta", [], |row| uint(row, 0))?;
    // Seconds, so that two restores of one backup differ.
    let generation = (now.saturating_sub(EPOCH_MS) / 1000).max(before + 1);
    if now < EPOCH_MS || generation > GENERATION_MAX {
        return Err(OpenError::Engine(
            "the clock is wrong: set it first, because what a restored server does depends on it".to_owned(),
        ));
    }
    db.execute("UPDATE meta SET store_generation = ?1, restored_at = ?2", params![U(generation), U(now)])?;
    pass_over_all(db, generation)?;
    let counted = |sql: &str| -> Sql<u64> { Ok(db.execute(sql, [])? as u64) };
    // Handed out twice, a key package would let the holder of the first copy read what the second one opens.
    let key_packages = counted("DELETE FROM key_packages WHERE last_resort = 0")?;
    db.execute("UPDATE key_packages SET used = 1", [])?;
    let tokens = counted("DELETE FROM tokens")?;
    let invites = counted("UPDATE invites SET revoked = 1 WHERE revoked = 0 AND uses_left > 0")?;
    db.execute_batch("DELETE FROM claims; DELETE FROM reservations; DELETE FROM proposals; DELETE FROM confirmations;")?;
    db.execute_batch("DELETE FROM revivals; DELETE FROM revived_states; UPDATE groups SET revived_epoch = NULL;")?;
    let groups = counted("UPDATE groups SET suspended = 1 WHERE successor IS NULL AND frozen = 0")?;
    let sql = "INSERT INTO audit (time, actor, what, target) VALUES (?1, 'operator', 'restore', ?2)";
    db.execute(sql, params![U(now), format!("generation {generation}")])?;
    Ok(Restored { generation, groups, key_packages, tokens, invites })
}

/// Lets every log go on behind all seqs that it may have given since.
fn pass_over_all(db: &Connection, generation: u64) -> Sql<()> {
    let logs: Vec<i64> = db.prepare("SELECT log_no FROM logs")?.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    logs.into_iter().try_for_each(|log_no| pass_over_one(db, log_no, generation))
}

/// The same for a log that was made again after the restore.
pub(super) fn pass_over(db: &Connection, log: &LogId, generation: u64) -> Sql<()> {
    log::number(db, log)?.map_or(Ok(()), |log_no| pass_over_one(db, log_no, generation))
}

fn pass_over_one(db: &Connection, log_no: i64, generation: u64) -> Sql<()> {
    let (head, running) = stored_head(db, log_no)?;
    let next = (generation * SEQS_PER_GENERATION).max(head + 1 + SEQS_PER_GENERATION);
    // Histories that part here have different hashes from here on.
    let mark: Hash = Sha256::digest([b"restored".as_slice(), &generation.to_be_bytes()].concat()).into();
    db.prepare_cached("INSERT INTO gaps (log_no, from_seq, to_seq, previous_hash) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        log_no,
        U(head + 1),
        U(next - 1),
        Blob(running)
    ])?;
    db.prepare_cached("UPDATE logs SET next_seq = ?2, running_hash = ?3 WHERE log_no = ?1")?
        .execute(params![log_no, U(next), Blob(running_hash(&running, next - 1, &mark))])
        .map(drop)
}
