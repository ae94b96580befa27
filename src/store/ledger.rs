//! What was sent under which client id, and which entries came from whom: the memory behind idempotency.
//!
//! Client ids and hashes are random, so an index over them would dirty a page or two for each message, far more than the
//! message itself. Rows are therefore appended in the order they come, and the keys of the newest are held in memory; a
//! generation of keys at a time is moved into an index on disk, in the order of the keys and a little with each batch,
//! so that one page takes many. A key only points at a row, which then says whether it is the one: a key that outlives
//! its row, or was never committed, does no harm. A filter in memory knows which keys the index does not hold: those of
//! nearly every message.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::{
    engine::Txn,
    filter::Filter,
    pairs::Pairs,
    types::Hash,
    values::{Sql, U, int, uint},
};
use crate::{
    clock::UnixMs,
    entropy,
    ids::{ClientId, Seq},
};

static INDEX: LazyLock<Pairs> = LazyLock::new(|| Pairs::by("INSERT OR IGNORE INTO sent_keys (key, sent_no)"));

/// Keys that each job of a batch moves to the index: twice what a message brings.
const MOVED_PER_JOB: usize = 4;

/// What was sent under a client id.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) seq: Seq,
    pub(super) time: UnixMs,
    /// A proposal, under the start of its hash.
    pub(super) handshake: bool,
}

/// Something that a device sends to a group, with the keys it is looked for by, and remembered under once it is stored.
pub(super) struct Sending {
    pub(super) group_no: i64,
    pub(super) device_no: i64,
    pub(super) client_id: ClientId,
    pub(super) entry_hash: Hash,
    by_id: i64,
    by_entry: i64,
}

/// Keys with the numbers of their rows.
type Keys = HashMap<i64, i64, BuildHasherDefault<AsItIs>>;

/// Keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, key: i64) {
        self.0 = key.cast_unsigned();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

/// The keys that are not in the index yet, and how to make keys.
pub(super) struct Ledger {
    /// Of this store alone, so that nobody can make ids whose keys collide.
    salt: [u8; 16],
    /// Number of the next row. Never used twice.
    next_no: i64,
    fresh: Keys,
    /// Keys at which the fresh ones begin to move.
    generation: usize,
    moving: Option<Moving>,
    sweeping: Option<Sweep>,
    filter: Arc<Filter>,
    /// Of the database.
    path: PathBuf,
}

/// A generation on its way into the index. Looked up here until all of it has arrived.
struct Moving {
    keys: Keys,
    sorted: Vec<(i64, i64)>,
    moved: usize,
    /// The newest row of the generation.
    newest_no: i64,
}

/// A walk through the index that takes away the keys of rows that are gone.
#[derive(Clone, Copy)]
struct Sweep {
    after_key: i64,
    below_no: i64,
}

impl Ledger {
    /// Reads the keys that were not in the index when the store was closed or killed.
    pub(super) fn load(db: &Connection, generation: usize) -> Sql<Self> {
        db.execute("INSERT OR IGNORE INTO ledger (one, salt) VALUES (1, ?1)", [&entropy::random::<16>()[..]])?;
        let (salt, indexed_to): ([u8; 16], i64) =
            db.query_one("SELECT salt, indexed_to FROM ledger", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let newest: Option<i64> = db.query_one("SELECT max(sent_no) FROM sent", [], |row| row.get(0))?;
        let next_no = newest.unwrap_or(0).max(indexed_to) + 1;
        let oldest: Option<i64> = db.query_one("SELECT min(sent_no) FROM sent", [], |row| row.get(0))?;
        let rows = usize::try_from(next_no - oldest.unwrap_or(next_no)).unwrap_or(0);
        let (filter, path) = (Arc::new(Filter::new(2 * rows)), db.path().map(PathBuf::from).unwrap_or_default());
        if indexed_to == 0 {
            filter.completed();
        } else {
            filter.fill(path.clone());
        }
        let mut ledger = Self { salt, next_no, fresh: Keys::default(), generation, moving: None, sweeping: None, filter, path };
        let mut statement =
            db.prepare("SELECT sent_no, log_no, device_no, client_id, entry_hash FROM sent WHERE sent_no > ?1")?;
        let mut rows = statement.query([indexed_to])?;
        while let Some(row) = rows.next()? {
            let (no, log_no, device_no) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (by_id, by_entry) = (ledger.id_key(log_no, device_no, row.get(3)?), ledger.entry_key(log_no, &row.get(4)?));
            ledger.fresh.extend([(by_id, no), (by_entry, no)]);
        }
        if ledger.fresh.len() >= generation {
            // Now and at once: a server that never runs long enough would have more to read with every start.
            let transaction = db.unchecked_transaction()?;
            ledger.settle(&transaction, usize::MAX / MOVED_PER_JOB)?;
            transaction.commit()?;
            ledger.committed();
        }
        Ok(ledger)
    }

    /// Moves some keys into the index, in the transaction of a batch of so many jobs.
    pub(super) fn settle(&mut self, db: &Connection, jobs: usize) -> Sql<()> {
        if self.moving.is_none() && self.fresh.len() >= self.generation {
            if let Some(keys) = self.filter.outgrown() {
                self.filter = Arc::new(Filter::new(keys));
                self.filter.fill(self.path.clone());
            }
            let keys = std::mem::take(&mut self.fresh);
            let mut sorted: Vec<_> = keys.iter().map(|(key, no)| (*key, *no)).collect();
            sorted.sort_unstable();
            self.moving = Some(Moving { keys, sorted, moved: 0, newest_no: self.next_no - 1 });
        }
        let Some(moving) = &mut self.moving else { return Ok(()) };
        let left = &moving.sorted[moving.moved..];
        let some = &left[..left.len().min(jobs * MOVED_PER_JOB)];
        some.iter().for_each(|(key, _)| self.filter.insert(*key));
        INDEX.insert(db, some)?;
        moving.moved += some.len();
        if moving.is_done() {
            db.prepare_cached("UPDATE ledger SET indexed_to = ?1")?.execute([moving.newest_no])?;
        }
        Ok(())
    }

    /// The batch is durable: a generation that has arrived is forgotten here.
    pub(super) fn committed(&mut self) {
        self.moving = self.moving.take().filter(|moving| !moving.is_done());
    }

    /// The batch was rolled back: the generation begins its way again.
    pub(super) fn rolled_back(&mut self) {
        if let Some(moving) = &mut self.moving {
            moving.moved = 0;
        }
    }

    /// Takes away keys of deleted rows, looking at so many at most, once they are a quarter of what is left. Gives the
    /// number taken.
    pub(super) fn sweep(&mut self, db: &Connection, keys: i64) -> Sql<usize> {
        let Some(sweep) = self.sweeping.map_or_else(|| self.due(db), |sweep| Ok(Some(sweep)))? else { return Ok(0) };
        let next: Option<i64> = db
            .prepare_cached("SELECT key FROM sent_keys WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2")?
            .query_one([sweep.after_key, keys], |row| row.get(0))
            .optional()?;
        let taken = db.prepare_cached("DELETE FROM sent_keys WHERE key > ?1 AND key <= ?2 AND sent_no < ?3")?.execute([
            sweep.after_key,
            next.unwrap_or(i64::MAX),
            sweep.below_no,
        ])?;
        if next.is_none() {
            db.prepare_cached("UPDATE ledger SET swept_to = ?1")?.execute([sweep.below_no - 1])?;
        }
        self.sweeping = next.map(|after_key| Sweep { after_key, ..sweep });
        Ok(taken)
    }

    fn due(&self, db: &Connection) -> Sql<Option<Sweep>> {
        let sql = "SELECT (SELECT min(sent_no) FROM sent), indexed_to, swept_to FROM ledger";
        let (oldest, indexed_to, swept_to): (Option<i64>, i64, i64) =
            db.prepare_cached(sql)?.query_one([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let below_no = oldest.unwrap_or(self.next_no).min(indexed_to + 1);
        let gone = below_no - 1 - swept_to;
        let (left, least) = (self.next_no - below_no, int(self.generation as u64 / 2).max(1));
        Ok((gone >= least.max(left / 4)).then_some(Sweep { after_key: i64::MIN, below_no }))
    }

    fn id_key(&self, log_no: i64, device_no: i64, client_id: ClientId) -> i64 {
        self.key(&[&[1], &log_no.to_be_bytes(), &device_no.to_be_bytes(), &client_id.0])
    }

    fn entry_key(&self, log_no: i64, entry_hash: &[u8; 16]) -> i64 {
        self.key(&[&[2], &log_no.to_be_bytes(), entry_hash])
    }

    fn key(&self, parts: &[&[u8]]) -> i64 {
        let mut hash = Sha256::new_with_prefix(self.salt);
        for part in parts {
            hash.update(part);
        }
        let hash: Hash = hash.finalize().into();
        i64::from_be_bytes(*hash.first_chunk().expect("a hash has eight bytes"))
    }

    /// The first row behind a key for which `select` gives something.
    fn find<T>(&self, db: &Connection, key: i64, mut select: impl FnMut(i64) -> Sql<Option<T>>) -> Sql<Option<T>> {
        let in_memory = [Some(&self.fresh), self.moving.as_ref().map(|moving| &moving.keys)];
        for no in in_memory.into_iter().flatten().filter_map(|keys| keys.get(&key)) {
            if let Some(found) = select(*no)? {
                return Ok(Some(found));
            }
        }
        if !self.filter.may_hold(key) {
            return Ok(None);
        }
        let mut statement = db.prepare_cached("SELECT sent_no FROM sent_keys WHERE key = ?1")?;
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            if let Some(found) = select(row.get(0)?)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Moving {
    fn is_done(&self) -> bool {
        self.moved == self.sorted.len()
    }
}

impl Txn<'_> {
    /// What is to be sent under that id.
    pub(super) fn sending(&self, group_no: i64, device_no: i64, client_id: ClientId, entry_hash: Hash) -> Sending {
        let by_id = self.ledger.id_key(group_no, device_no, client_id);
        let by_entry = self.ledger.entry_key(group_no, start(&entry_hash));
        Sending { group_no, device_no, client_id, entry_hash, by_id, by_entry }
    }

    /// What the device sent to the group under that id before.
    pub(super) fn sent(&self, sending: &Sending) -> Sql<Option<Sent>> {
        let Sending { group_no, device_no, client_id, by_id, .. } = sending;
        let sent = |row: &Row<'_>| Ok(Sent { seq: uint(row, 0)?, time: uint(row, 1)?, handshake: row.get(2)? });
        self.ledger.find(self.db, *by_id, |no| {
            self.db
                .prepare_cached(
                    "SELECT seq, time, handshake FROM sent WHERE sent_no = ?1 AND log_no = ?2 AND device_no = ?3 AND client_id = ?4",
                )?
                .query_one(params![no, group_no, device_no, client_id], sent)
                .optional()
        })
    }

    /// Whether the same entry came from another device, of which this one can only be a copy.
    pub(super) fn is_sent_by_another(&self, sending: &Sending) -> Sql<bool> {
        let Sending { group_no, device_no, entry_hash, by_entry, .. } = sending;
        let found = self.ledger.find(self.db, *by_entry, |no| {
            self.db
                .prepare_cached("SELECT 1 FROM sent WHERE sent_no = ?1 AND log_no = ?2 AND entry_hash = ?3 AND device_no <> ?4")?
                .exists(params![no, group_no, &start(entry_hash)[..], device_no])
                .map(|exists| exists.then_some(()))
        })?;
        Ok(found.is_some())
    }

    /// Remembers what was sent under a client id that is not known yet.
    pub(super) fn remember(&mut self, sending: &Sending, sent: &Sent) -> Sql<()> {
        let Sending { group_no, device_no, client_id, entry_hash, by_id, by_entry } = sending;
        let no = self.ledger.next_no;
        self.insert_sent
            .get(
                self.db,
                "INSERT INTO sent (sent_no, log_no, device_no, client_id, handshake, seq, time, entry_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                no,
                group_no,
                device_no,
                client_id,
                sent.handshake,
                U(sent.seq),
                U(sent.time),
                &start(entry_hash)[..]
            ])?;
        self.ledger.next_no += 1;
        self.ledger.fresh.extend([(*by_id, no), (*by_entry, no)]);
        Ok(())
    }
}

/// The part of an entry's hash that is remembered: enough that nobody finds two entries with the same.
fn start(hash: &Hash) -> &[u8; 16] {
    hash.first_chunk().expect("half of a hash")
}
