//! The rows that messages leave behind, written and read by one thread with nothing around it.

use rusqlite::{Connection, params};
use sovereign::{clock::monotonic, entropy};
use tempfile::TempDir;

use crate::{
    client::{ID_BYTES, Mint},
    measure::Taken,
    process::own_thread_cpu,
    scale::Scale,
};

/// Messages of one transaction: about what the server's writer finds waiting with 800 outstanding.
pub const BATCH: usize = 256;
/// Rows of one page of reading.
const PAGE: i64 = 256;
/// Bits of an entry's id that hold its seq.
const SEQ_BITS: u32 = 40;

/// A database with the server's tables and settings.
pub struct Bare {
    _directory: TempDir,
    db: Connection,
    mint: Mint,
    written: i64,
}

impl Bare {
    /// An empty one.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let db = Connection::open(directory.path().join("bare.db")).expect("a database");
        let settings = "PRAGMA page_size = 8192; PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA secure_delete = on; PRAGMA cache_size = -16384;";
        db.execute_batch(settings).expect("the settings are good");
        db.execute_batch(include_str!("../../../migrations/0004_logs.sql")).expect("the tables are good");
        let sql = "INSERT INTO logs (log_no, kind, owner, running_hash) VALUES (1, 1, x'00', zeroblob(32))";
        db.execute(sql, []).expect("a log");
        let mint = Mint::new(entropy::random::<32>().to_vec().into(), 1, Scale::MESSAGE_BYTES);
        Self { _directory: directory, db, mint, written: 0 }
    }

    /// Writes so many messages, so many in a transaction.
    pub fn write(&mut self, messages: usize, batch: usize) -> Taken {
        let (cpu, start) = (own_thread_cpu(), monotonic());
        for _ in 0..messages.div_ceil(batch) {
            self.transact(batch).expect("the database takes rows");
        }
        Taken { cpu: own_thread_cpu().saturating_sub(cpu), wall: start.elapsed() }
    }

    fn transact(&mut self, batch: usize) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        for _ in 0..batch {
            self.written += 1;
            let (id, body): ([u8; ID_BYTES], _) = self.mint.next();
            let hash = [id[0]; 32];
            transaction
                .prepare_cached(
                    "INSERT INTO entries (id, time, kind, sender, sender_ref, entry_hash, previous_hash, body)
                     VALUES (?1, ?2, 1, 1, ?3, ?4, ?4, ?5)",
                )?
                .execute(params![1_i64 << SEQ_BITS | self.written, self.written, id, hash, &body[..]])?;
            transaction
                .prepare_cached(
                    "INSERT INTO sent (log_no, device_no, client_id, handshake, seq, time, entry_hash)
                     VALUES (1, 1, ?1, 0, ?2, ?2, ?1)",
                )?
                .execute(params![id, self.written])?;
        }
        let sql = "UPDATE logs SET next_seq = ?1 WHERE log_no = 1";
        transaction.prepare_cached(sql)?.execute([self.written + 1])?;
        transaction.commit()
    }

    /// Reads all that was written, in pages; the rows and what they took.
    pub fn read(&self) -> (usize, Taken) {
        let (cpu, start) = (own_thread_cpu(), monotonic());
        let (mut after, mut rows) = (0, 0);
        while let Some(last) = self.page(after, &mut rows).expect("the database gives rows") {
            after = last;
        }
        (rows, Taken { cpu: own_thread_cpu().saturating_sub(cpu), wall: start.elapsed() })
    }

    fn page(&self, after: i64, rows_read: &mut usize) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT id, time, kind, sender, sender_ref, entry_hash, previous_hash, body FROM entries WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params![after, PAGE])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get_ref(7)?.as_blob()?.to_vec());
            *rows_read += 1;
            last = Some(row.get(0)?);
        }
        Ok(last)
    }
}
