//! What is left on a disk, opened as the server opens it, beside what the server had promised by then.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use sovereign::{
    clock::Clock,
    ids::{ClientId, DeviceId, GroupId, LogId},
    store::{Append, AppendOutcome, DataDir, Item, NewMessage, Options, Store},
};
use sovereign_proto::log::{self, Kind};

use super::{
    disk::Image,
    story::{Fact, Promise, Story},
};

/// Sends around the cut that are sent once more.
const SENT_AGAIN: usize = 4;

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Something that was acknowledged is not there.
    Lost,
    /// The database does not open, or is not in order.
    Corrupt,
    /// Something is there in part, or its parts contradict each other.
    Half,
    /// Something is there that nobody sent.
    Phantom,
}

/// What was found.
#[derive(Default)]
pub struct Verdict {
    /// Promises that had to be kept.
    pub promises: usize,
    pub faults: Vec<(Fault, String)>,
}

enum Found {
    Whole,
    Absent,
    Half,
}

/// Puts an image into a directory.
pub fn lay_out(image: &Image, root: &Path) {
    for directory in &image.directories {
        fs::create_dir(root.join(directory)).expect("its parent comes before it");
    }
    for (path, content) in &image.files {
        let path = root.join(path);
        fs::write(&path, content).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
}

/// Opens the image that was laid out in `root`, lets clients resend, and checks everything that was promised before the
/// record had `position` bytes.
pub async fn judge(image: &Image, root: &Path, story: &Story, position: u64) -> Verdict {
    let mut verdict = Verdict::default();
    if let Err(problem) = reopen(root, story, position, &mut verdict).await {
        verdict.found(Fault::Corrupt, problem);
        return verdict;
    }
    if let Err(error) = check(image, root, story, position, &mut verdict) {
        verdict.found(Fault::Corrupt, error);
    }
    verdict
}

impl Verdict {
    fn found(&mut self, fault: Fault, what: impl fmt::Display) {
        self.faults.push((fault, what.to_string()));
    }

    fn unless(&mut self, good: bool, fault: Fault, what: impl FnOnce() -> String) {
        if !good {
            self.found(fault, what());
        }
    }
}

/// The server's own way in. Those who know no answer send again.
async fn reopen(root: &Path, story: &Story, position: u64, verdict: &mut Verdict) -> Result<(), String> {
    let told = |error: &dyn fmt::Display| format!("it does not open: {error}");
    let data = DataDir::open(root.join("data")).map_err(|error| told(&error))?;
    let options = Options { disk_reserve: 0, ..Options::default() };
    let reopened = Store::open(&data, options, Clock::default()).map_err(|error| told(&error))?;
    let sent = |promise: &&Promise| matches!(promise.fact, Fact::Sent { .. });
    let before = story.promises.iter().filter(sent).filter(|promise| promise.position <= position);
    let after = story.promises.iter().filter(sent).filter(|promise| promise.position > position);
    let mut last: Vec<&Promise> = before.collect();
    let last = last.split_off(last.len().saturating_sub(SENT_AGAIN));
    for promise in last.into_iter().chain(after.take(SENT_AGAIN)) {
        let Fact::Sent { seq, .. } = &promise.fact else { continue };
        let outcome = reopened.append(again(&promise.fact)).await.map_err(|error| format!("it takes no message: {error:?}"))?;
        if promise.position <= position {
            let same = matches!(outcome, AppendOutcome::Duplicate { seq: found, .. } if found == *seq);
            verdict.unless(same, Fault::Lost, || format!("message {seq} was sent again: {outcome:?}"));
        }
    }
    read(&reopened, story, position, verdict).await?;
    reopened.close().await.map_err(|error| format!("it does not close: {error:?}"))
}

/// The log as the server gives it to a member: whatever was accepted stands in it, or is named as passed by everybody.
async fn read(reopened: &Store, story: &Story, position: u64, verdict: &mut Verdict) -> Result<(), String> {
    let sent = |promise: &Promise| match &promise.fact {
        Fact::Sent { request, seq, hash, .. } if promise.position <= position => Some((request.group_id.clone(), *seq, *hash)),
        _ => None,
    };
    let due: Vec<_> = story.promises.iter().filter_map(sent).collect();
    let Some((group, ..)) = due.first() else { return Ok(()) };
    let log = LogId::Group(GroupId::try_from(&group[..]).expect("32 bytes"));
    let (mut after, mut given, mut passed) = (0, HashMap::new(), 0);
    loop {
        let page = reopened.page(log, DeviceId(story.ada.device), after, 256, 1 << 20).await;
        let Some(page) = page.map_err(|error| format!("its log cannot be read: {error:?}"))? else { break };
        for item in page.items {
            match item {
                Item::Entry(entry) => {
                    after = entry.seq;
                    given.insert(entry.seq, entry.entry_hash);
                }
                Item::Skipped { to, .. } => (after, passed) = (to, to),
            }
        }
        if !page.more {
            break;
        }
    }
    for (_, seq, hash) in due {
        let there = seq <= passed || given.get(&seq) == Some(&hash);
        verdict.unless(there, Fault::Lost, || format!("message {seq} is not given to its reader"));
    }
    Ok(())
}

fn again(fact: &Fact) -> Append {
    let Fact::Sent { sender, request, epoch, .. } = fact else { unreachable!("only messages are sent again") };
    let message = request.message.clone().expect("it has one");
    Append {
        group: GroupId::try_from(&request.group_id[..]).expect("32 bytes"),
        sender: DeviceId(*sender),
        epoch: *epoch,
        message: NewMessage {
            client_id: ClientId::try_from(&message.client_id[..]).expect("16 bytes"),
            ciphertext: message.ciphertext,
            ttl_ms: None,
            urgent: false,
        },
        now: Clock::default().now_ms(),
    }
}

/// The database as it is read without the server's help.
struct Database {
    db: Connection,
    /// Sender and client id to seq and the start of the entry's hash.
    sent: HashMap<(i64, Vec<u8>), (i64, Vec<u8>)>,
    /// The hashes of the entries that each log still holds, by seq.
    logs: HashMap<i64, BTreeMap<i64, [u8; 32]>>,
}

fn check(image: &Image, root: &Path, story: &Story, position: u64, verdict: &mut Verdict) -> rusqlite::Result<()> {
    let db = Connection::open(root.join("data/sovereign.db"))?;
    let integrity: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    verdict.unless(integrity == "ok", Fault::Corrupt, || integrity.clone());
    let dangling = db.prepare("PRAGMA foreign_key_check")?.exists([])?;
    verdict.unless(!dangling, Fault::Corrupt, || "a row refers to one that is not there".to_owned());
    let logs = check_logs(&db, story, verdict)?;
    check_epochs(&db, verdict)?;
    let sent = db
        .prepare("SELECT device_no, client_id, seq, entry_hash FROM sent WHERE handshake = 0")?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let database = Database { db, sent, logs };
    for promise in &story.promises {
        let due = promise.position <= position;
        verdict.promises += usize::from(due);
        match (database.find(&promise.fact, image)?, due) {
            (Found::Whole, _) | (Found::Absent, false) => {}
            (Found::Absent, true) => verdict.found(Fault::Lost, name(&promise.fact)),
            (Found::Half, _) => verdict.found(Fault::Half, name(&promise.fact)),
        }
    }
    Ok(())
}

/// Every log is contiguous, its chain of hashes holds, and it has nothing that nobody sent.
fn check_logs(db: &Connection, story: &Story, verdict: &mut Verdict) -> rusqlite::Result<HashMap<i64, BTreeMap<i64, [u8; 32]>>> {
    let known: HashSet<&Bytes> = story.promises.iter().filter_map(client_id).collect();
    let mut held = HashMap::new();
    let mut logs = db.prepare("SELECT log_no, next_seq, running_hash FROM logs")?;
    let mut entries = db.prepare(
        "SELECT entries.place & ((1 << 40) - 1), kind, sender_ref, entry_hash, previous_hash, coalesce(entries.body, bodies.body)
         FROM entries LEFT JOIN bodies USING (body_no) WHERE entries.place >> 40 = ?1 ORDER BY entries.place",
    )?;
    let mut rows = logs.query([])?;
    while let Some(row) = rows.next()? {
        let (log_no, next_seq, end): (i64, i64, [u8; 32]) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let mut expected: Option<(i64, [u8; 32])> = None;
        let hashes: &mut BTreeMap<i64, [u8; 32]> = held.entry(log_no).or_default();
        let mut rows = entries.query([log_no])?;
        while let Some(row) = rows.next()? {
            let (seq, kind, hash, previous): (i64, u8, [u8; 32], [u8; 32]) = (row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?);
            let (reference, body): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(2)?, row.get(5)?);
            let kind = Kind::from_byte(kind).expect("one of ours");
            let (at, running) = *expected.get_or_insert((seq, previous));
            hashes.insert(seq, hash);
            let good = (at, running) == (seq, previous) && body.as_deref().map(|body| log::entry_hash(kind, body)) == Some(hash);
            verdict.unless(good, Fault::Half, || format!("entry {seq} of log {log_no} does not follow what is before it"));
            if kind == Kind::Message {
                let sent = reference.is_some_and(|id| known.contains(&Bytes::from(id)));
                verdict.unless(sent, Fault::Phantom, || format!("nobody sent entry {seq} of log {log_no}"));
            }
            expected = Some((seq + 1, log::running_hash(&running, seq.cast_unsigned(), &hash)));
        }
        let good = expected.is_none_or(|(next, running)| (next, running) == (next_seq, end));
        verdict.unless(good, Fault::Half, || format!("log {log_no} does not end where it says"));
    }
    Ok(held)
}

fn client_id(promise: &Promise) -> Option<&Bytes> {
    let Fact::Sent { request, .. } = &promise.fact else { return None };
    request.message.as_ref().map(|message| &message.client_id)
}

/// Every epoch was made by one commit.
fn check_epochs(db: &Connection, verdict: &mut Verdict) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM groups WHERE epoch <> (SELECT count(*) FROM commits WHERE commits.log_no = groups.log_no)
               OR NOT EXISTS (SELECT 1 FROM group_infos WHERE group_infos.log_no = groups.log_no)";
    let torn: i64 = db.query_row(sql, [], |row| row.get(0))?;
    verdict.unless(torn == 0, Fault::Half, || "a group's epoch is not that of its commits".to_owned());
    Ok(())
}

impl Database {
    fn find(&self, fact: &Fact, image: &Image) -> rusqlite::Result<Found> {
        let there = |there: bool| Ok(if there { Found::Whole } else { Found::Absent });
        match fact {
            Fact::File { path, content } => there(image.files.get(*path) == Some(content)),
            Fact::Account { device } => there(self.device(device)?.is_some()),
            Fact::Group { group } => there(self.log(group)?.is_some()),
            Fact::Claimed { key_package } => {
                let count = |table: &str| -> rusqlite::Result<i64> {
                    let sql = format!("SELECT count(*) FROM {table} WHERE bytes = ?1");
                    self.db.prepare_cached(&sql)?.query_one([&key_package[..]], |row| row.get(0))
                };
                // What was redeemed since stands in neither.
                let (stock, claimed) = (count("key_packages")?, count("claim_items")?);
                if stock > 0 && claimed > 0 { Ok(Found::Half) } else { there(stock == 0) }
            }
            Fact::Sent { sender, request, seq, hash, .. } => {
                let client_id = request.message.as_ref().map(|message| message.client_id.to_vec()).unwrap_or_default();
                let (Some(log), Some(device)) = (self.log(&request.group_id)?, self.device(sender)?) else {
                    return Ok(Found::Absent);
                };
                let remembered = self
                    .sent
                    .get(&(device, client_id))
                    .is_some_and(|(at, start)| *at == seq.cast_signed() && hash.starts_with(start));
                Ok(both(remembered, self.holds(log, seq.cast_signed(), hash, remembered)))
            }
            Fact::Read { group, device, seq } => {
                let sql =
                    "SELECT max(seq) FROM read_markers JOIN devices USING (account_no) WHERE log_no = ?1 AND device_id = ?2";
                there(self.reached(sql, group, device)? >= seq.cast_signed())
            }
            Fact::Delivered { group, device, seq } => {
                let sql = "SELECT max(cursor) FROM windows JOIN devices USING (device_no) WHERE log_no = ?1 AND device_id = ?2";
                there(self.reached(sql, group, device)? >= seq.cast_signed())
            }
            Fact::Commit { group, epoch, seq, hash, group_info, added } => {
                let Some(log) = self.log(group)? else { return Ok(Found::Absent) };
                let sql = "SELECT 1 FROM commits WHERE log_no = ?1 AND from_epoch = ?2 AND seq = ?3";
                let committed = self.db.prepare_cached(sql)?.exists(params![log, epoch.cast_signed(), seq.cast_signed()])?;
                let mut brought = self.holds(log, seq.cast_signed(), hash, committed);
                if let Some(added) = added {
                    brought &= self.opened(log, seq.cast_signed(), added)? == committed;
                }
                let sql = "SELECT group_info FROM groups JOIN group_infos USING (log_no) WHERE log_no = ?1 AND epoch = ?2";
                let newest = self
                    .db
                    .prepare_cached(sql)?
                    .query_row(params![log, epoch.cast_signed() + 1], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?;
                brought &= newest.is_none_or(|newest| newest == group_info[..]);
                Ok(both(committed, brought))
            }
        }
    }

    fn log(&self, group: &[u8]) -> rusqlite::Result<Option<i64>> {
        self.db.prepare_cached("SELECT log_no FROM groups WHERE group_id = ?1")?.query_row([group], |row| row.get(0)).optional()
    }

    fn device(&self, device: &[u8; 16]) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT device_no FROM devices JOIN accounts USING (account_no) JOIN manifests USING (account_no)
                   WHERE device_id = ?1 AND state = 1";
        self.db.prepare_cached(sql)?.query_row([&device[..]], |row| row.get(0)).optional()
    }

    /// Whether an entry stands where it should. One that everybody has passed may be gone, if it is remembered.
    fn holds(&self, log: i64, seq: i64, hash: &[u8; 32], remembered: bool) -> bool {
        let Some(entries) = self.logs.get(&log) else { return false };
        match entries.first_key_value() {
            Some((first, _)) if seq >= *first => entries.get(&seq) == Some(hash),
            _ => remembered,
        }
    }

    /// Whether a commit has opened a window to a device, with the Welcome that it needs.
    fn opened(&self, log: i64, seq: i64, device: &[u8; 16]) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM windows JOIN devices USING (device_no) WHERE log_no = ?1 AND join_seq = ?2 AND device_id = ?3
                   AND (welcome_seq IS NULL OR EXISTS (SELECT 1 FROM entries WHERE place = own_log_no << 40 | welcome_seq))";
        self.db.prepare_cached(sql)?.exists(params![log, seq, &device[..]])
    }

    fn reached(&self, sql: &str, group: &[u8], device: &[u8; 16]) -> rusqlite::Result<i64> {
        let Some(log) = self.log(group)? else { return Ok(0) };
        let reached = self.db.prepare_cached(sql)?.query_one(params![log, &device[..]], |row| row.get::<_, Option<i64>>(0))?;
        Ok(reached.unwrap_or(0))
    }
}

fn both(one: bool, other: bool) -> Found {
    match (one, other) {
        (true, true) => Found::Whole,
        (false, false) => Found::Absent,
        _ => Found::Half,
    }
}

fn name(fact: &Fact) -> String {
    match fact {
        Fact::File { path, .. } => (*path).to_owned(),
        Fact::Account { .. } => "an account".to_owned(),
        Fact::Group { .. } => "a group".to_owned(),
        Fact::Claimed { .. } => "the claim of a key package".to_owned(),
        Fact::Commit { epoch, seq, .. } => format!("the commit of epoch {epoch} at {seq}"),
        Fact::Sent { seq, .. } => format!("message {seq}"),
        Fact::Read { seq, .. } => format!("a read marker at {seq}"),
        Fact::Delivered { seq, .. } => format!("a cursor at {seq}"),
    }
}
