//! The way from a place in a log to its entry.
//!
//! Entries stand on disk in the order they came, whichever logs they are of, so that a batch fills a few pages. The index
//! from places to entries would dirty a page for each log of a batch; so the places of the newest entries are held in
//! memory, and a generation of them at a time is moved into the index on disk, in the order of places and a little with
//! each batch. After a crash they are read from the entries themselves.
//!
//! Readers look into a snapshot and into memory. An entry is in memory before it is committed and until its place is
//! committed, so whoever took a snapshot and then looks into memory misses nothing, unless a whole generation has left
//! memory between the two: then [`Places::steadily`] has it look again.

use std::{
    collections::{BTreeMap, HashSet},
    ops::RangeInclusive,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{pairs::Pairs, values::Sql};

/// A generation that begins its way again meets what it left there: the same pairs, as an entry's number never changes.
static INDEX: LazyLock<Pairs> = LazyLock::new(|| Pairs::by("INSERT OR IGNORE INTO places (place, entry_no)"));

/// Places that move to the index for each job of a batch, and for each entry.
const MOVED_FOR_ONE: usize = 2;

/// The places that are not in the index yet, for everybody who reads.
#[derive(Default)]
pub(super) struct Places {
    memory: Mutex<Memory>,
    /// Counts generations that have left memory.
    left: AtomicU64,
}

/// Numbers of entries by their places. Of one log, those that move stand before the fresh ones.
#[derive(Default)]
struct Memory {
    moving: BTreeMap<i64, i64>,
    fresh: BTreeMap<i64, i64>,
}

/// Rows to be walked through: what is selected of `entries`, and what is joined to it.
#[derive(Clone, Copy)]
pub(super) struct Select {
    pub(super) columns: &'static str,
    pub(super) joined: &'static str,
}

/// Which way a walk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

impl Places {
    /// Does a read, with a snapshot of its own each time, until no generation has left memory meanwhile.
    pub(super) fn steadily<T>(&self, mut read: impl FnMut() -> Sql<T>) -> Sql<T> {
        loop {
            let before = self.left.load(Ordering::SeqCst);
            let answer = read()?;
            if self.left.load(Ordering::SeqCst) == before {
                return Ok(answer);
            }
        }
    }

    /// Gives the rows of the entries in these places of one log, in their order, until `take` says that it is enough or
    /// there were so many. Whether that was all of them.
    pub(super) fn walk(
        &self,
        db: &Connection,
        select: Select,
        (range, way): (RangeInclusive<i64>, Way),
        limit: usize,
        mut take: impl FnMut(&Row<'_>) -> Sql<bool>,
    ) -> Sql<bool> {
        // Of one log, what is in memory alone stands behind what is on disk.
        let on_disk = match self.lock().first(&range) {
            Some(first) => *range.start()..=first - 1,
            None => range.clone(),
        };
        let in_memory = on_disk.end() + 1..=*range.end();
        let mut left = limit;
        if limit == 0 {
            return Ok(false);
        }
        if way == Way::Up && !walk_disk(db, select, on_disk.clone(), way, &mut left, &mut take)? {
            return Ok(false);
        }
        let all = self.walk_memory(db, select, in_memory, way, &mut left, &mut take)?;
        Ok(all && (way == Way::Up || walk_disk(db, select, on_disk, way, &mut left, &mut take)?))
    }

    fn walk_memory(
        &self,
        db: &Connection,
        Select { columns, joined }: Select,
        range: RangeInclusive<i64>,
        way: Way,
        left: &mut usize,
        take: &mut impl FnMut(&Row<'_>) -> Sql<bool>,
    ) -> Sql<bool> {
        let mut rest = range;
        while !rest.is_empty() {
            let some = self.lock().some(&rest, way, *left);
            let mut statement = db.prepare_cached(&format!("SELECT {columns} FROM entries {joined} WHERE entry_no = ?1"))?;
            for (_, entry_no) in &some {
                // Without a row it is not committed, or was trimmed a moment ago.
                if let Some(more) = statement.query_one([entry_no], &mut *take).optional()? {
                    *left -= 1;
                    if !more || *left == 0 {
                        return Ok(false);
                    }
                }
            }
            let Some((last, _)) = some.last() else { break };
            rest = match way {
                Way::Up => last + 1..=*rest.end(),
                Way::Down => *rest.start()..=last - 1,
            };
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers in the index have their entries: both go together.
fn walk_disk(
    db: &Connection,
    Select { columns, joined }: Select,
    range: RangeInclusive<i64>,
    way: Way,
    left: &mut usize,
    take: &mut impl FnMut(&Row<'_>) -> Sql<bool>,
) -> Sql<bool> {
    let order = if way == Way::Up { "ASC" } else { "DESC" };
    let mut statement = db.prepare_cached(&format!(
        "SELECT {columns} FROM places CROSS JOIN entries ON entries.entry_no = places.entry_no {joined}
         WHERE places.place BETWEEN ?1 AND ?2 ORDER BY places.place {order}"
    ))?;
    let mut rows = statement.query([range.start(), range.end()])?;
    while let Some(row) = rows.next()? {
        *left -= 1;
        if !take(row)? || *left == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Memory {
    fn range(&self, range: &RangeInclusive<i64>) -> impl DoubleEndedIterator<Item = (i64, i64)> {
        let range = if range.is_empty() { 0..=0 } else { range.clone() };
        self.moving.range(range.clone()).chain(self.fresh.range(range)).map(|(place, entry_no)| (*place, *entry_no))
    }

    fn first(&self, range: &RangeInclusive<i64>) -> Option<i64> {
        self.range(range).next().map(|(place, _)| place)
    }

    fn some(&self, range: &RangeInclusive<i64>, way: Way, most: usize) -> Vec<(i64, i64)> {
        match way {
            Way::Up => self.range(range).take(most).collect(),
            Way::Down => self.range(range).rev().take(most).collect(),
        }
    }

    fn forget(&mut self, place: i64) {
        self.fresh.remove(&place);
        self.moving.remove(&place);
    }
}

/// The writer's side: numbers entries and moves generations to the index.
pub(super) struct Placing {
    places: Arc<Places>,
    /// Number of the next entry. Never used twice.
    next_no: i64,
    /// Places at which the fresh ones begin to move.
    generation: usize,
    moving: Option<Moving>,
    /// Of the open transaction.
    placed: Vec<i64>,
    /// Places whose entries the open transaction deletes.
    deleted: Vec<i64>,
}

/// How far a generation has got on its way into the index.
struct Moving {
    /// Places below have arrived.
    next: i64,
    arrived: bool,
    /// The newest entry of the generation.
    newest_no: i64,
}

/// How much an open transaction has done so far.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    placed: usize,
    deleted: usize,
}

impl Placing {
    /// Reads the places that were not in the index when the store was closed or killed.
    pub(super) fn load(db: &Connection, generation: usize) -> Sql<Self> {
        let placed_to: i64 = db.query_one("SELECT placed_to FROM placed", [], |row| row.get(0))?;
        let newest: Option<i64> = db.query_one("SELECT max(entry_no) FROM entries", [], |row| row.get(0))?;
        let next_no = newest.unwrap_or(0).max(placed_to) + 1;
        let mut statement = db.prepare("SELECT place, entry_no FROM entries WHERE entry_no > ?1")?;
        let mut fresh: BTreeMap<i64, i64> =
            statement.query_map([placed_to], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Sql<_>>()?;
        if fresh.len() >= generation {
            // Now and at once: a server that never runs long enough would have more to read with every start.
            let transaction = db.unchecked_transaction()?;
            INDEX.insert(&transaction, &std::mem::take(&mut fresh).into_iter().collect::<Vec<_>>())?;
            transaction.execute("UPDATE placed SET placed_to = ?1", [next_no - 1])?;
            transaction.commit()?;
        }
        let memory = Mutex::new(Memory { fresh, moving: BTreeMap::new() });
        let places = Arc::new(Places { memory, left: AtomicU64::new(0) });
        Ok(Self { places, next_no, generation, moving: None, placed: Vec::new(), deleted: Vec::new() })
    }

    /// What readers look into.
    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The number of an entry that is about to be stored in this place.
    pub(super) fn place(&mut self, place: i64) -> i64 {
        let entry_no = self.next_no;
        self.next_no += 1;
        self.places.lock().fresh.insert(place, entry_no);
        self.placed.push(place);
        entry_no
    }

    /// Deletes an entry.
    pub(super) fn delete(&mut self, db: &Connection, place: i64, entry_no: i64) -> Sql<()> {
        db.prepare_cached("DELETE FROM entries WHERE entry_no = ?1")?.execute([entry_no])?;
        db.prepare_cached("DELETE FROM places WHERE place = ?1")?.execute([place])?;
        self.deleted.push(place);
        Ok(())
    }

    /// Moves some places into the index, in the transaction of a batch of so many jobs.
    pub(super) fn settle(&mut self, db: &Connection, jobs: usize) -> Sql<()> {
        let mut memory = self.places.lock();
        if self.moving.is_none() && memory.fresh.len() >= self.generation {
            memory.moving = std::mem::take(&mut memory.fresh);
            self.moving = Some(Moving { next: i64::MIN, arrived: false, newest_no: self.next_no - 1 });
        }
        let Some(moving) = &mut self.moving else { return Ok(()) };
        // Faster than others come, also where one job brings many.
        let most = jobs.max(self.placed.len()) * MOVED_FOR_ONE;
        let mut some: Vec<(i64, i64)> =
            memory.moving.range(moving.next..).take(most).map(|(place, entry_no)| (*place, *entry_no)).collect();
        drop(memory);
        let all = some.len() < most;
        moving.next = some.last().map_or(moving.next, |(place, _)| place + 1);
        if !self.deleted.is_empty() {
            let deleted: HashSet<i64> = self.deleted.iter().copied().collect();
            some.retain(|(place, _)| !deleted.contains(place));
        }
        INDEX.insert(db, &some)?;
        if all {
            moving.arrived = true;
            db.prepare_cached("UPDATE placed SET placed_to = ?1")?.execute([moving.newest_no])?;
        }
        Ok(())
    }

    /// The batch is durable: a generation that has arrived leaves memory, as does what was deleted.
    pub(super) fn committed(&mut self) {
        self.placed.clear();
        let arrived = self.moving.take_if(|moving| moving.arrived).is_some();
        if !arrived && self.deleted.is_empty() {
            return;
        }
        let mut memory = self.places.lock();
        self.deleted.drain(..).for_each(|place| memory.forget(place));
        if arrived {
            // Said before it is so: who looks into memory from here on has to look again.
            self.places.left.fetch_add(1, Ordering::SeqCst);
            memory.moving.clear();
        }
    }

    /// The batch was rolled back: a generation that moves begins its way again.
    pub(super) fn rolled_back(&mut self) {
        self.take_back(Mark { placed: 0, deleted: 0 });
        if let Some(moving) = &mut self.moving {
            (moving.next, moving.arrived) = (i64::MIN, false);
        }
    }

    /// Where the open transaction stands.
    pub(super) fn mark(&self) -> Mark {
        Mark { placed: self.placed.len(), deleted: self.deleted.len() }
    }

    /// What the open transaction did since then was taken back.
    pub(super) fn take_back(&mut self, to: Mark) {
        let mut memory = self.places.lock();
        self.placed.drain(to.placed..).for_each(|place| memory.forget(place));
        self.deleted.truncate(to.deleted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_between_which_a_generation_left_is_done_again() {
        let places = Places::default();
        let mut snapshots = Vec::new();
        let answer = places.steadily(|| {
            snapshots.push(places.left.load(Ordering::SeqCst));
            if snapshots.len() < 3 {
                places.left.fetch_add(1, Ordering::SeqCst);
            }
            Ok(snapshots.len())
        });
        assert_eq!((answer.ok(), snapshots), (Some(3), vec![0, 1, 2]));
    }
}
