//! Which keys the index on disk cannot hold: a Bloom filter, so that asking for a key that was never there costs a look
//! into memory. Every message asks for two.

use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
};

use super::{connection, values::Sql};
use crate::limits::LEDGER_FILTER_BYTES;

/// Words of a block. The bits of a key stand in one block, which is one line of the processor's cache.
const WORDS: usize = 8;
/// Bits of a key.
const BITS: u32 = 6;
/// Bytes of the smallest filter.
const LEAST_BYTES: usize = 2 << 20;
/// Bits a key for which a filter is made, and below which it is crowded: then every hundredth unknown key is looked up.
const ROOMY: usize = 20;
const CROWDED: usize = 8;
/// Keys read in one snapshot.
const PAGE: i64 = 16_384;

/// The filter. Says nothing before it is complete.
pub(super) struct Filter {
    blocks: Vec<[AtomicU64; WORDS]>,
    keys: AtomicUsize,
    complete: AtomicBool,
}

impl Filter {
    /// An empty one for about so many keys. To be filled, or declared complete if there are none.
    pub(super) fn new(keys: usize) -> Self {
        let bytes = (keys.saturating_mul(ROOMY) / 8).clamp(LEAST_BYTES, LEDGER_FILTER_BYTES);
        let blocks = std::iter::repeat_with(Default::default).take(bytes / (WORDS * 8)).collect();
        Self { blocks, keys: AtomicUsize::new(0), complete: AtomicBool::new(false) }
    }

    /// Reads the keys of the index into it, beside the writer, who inserts what it adds meanwhile. Ends early when nobody
    /// holds the filter any more. Where that fails, the filter stays as it is and every key is looked up.
    pub(super) fn fill(self: &Arc<Self>, path: PathBuf) {
        let filter = Arc::downgrade(self);
        let filling = move || {
            if let Err(error) = read_keys(&path, &filter) {
                tracing::warn!(%error, "the filter of sent messages could not be filled");
            }
        };
        if let Err(error) = thread::Builder::new().name("store-filter".to_owned()).spawn(filling) {
            tracing::warn!(%error, "the filter of sent messages could not be filled");
        }
    }

    /// The index holds this key, or will.
    pub(super) fn insert(&self, key: i64) {
        let block = self.block(key);
        for (word, bit) in bits(key) {
            block[word].fetch_or(bit, Relaxed);
        }
        self.keys.fetch_add(1, Relaxed);
    }

    /// Whether the index may hold this key.
    pub(super) fn may_hold(&self, key: i64) -> bool {
        let block = self.block(key);
        !self.complete.load(Acquire) || bits(key).all(|(word, bit)| block[word].load(Relaxed) & bit != 0)
    }

    /// All keys of the index are in it.
    pub(super) fn completed(&self) {
        self.complete.store(true, Release);
    }

    /// For how many keys a filter has to be made in its place, if it has become too small and may be larger.
    pub(super) fn outgrown(&self) -> Option<usize> {
        let (keys, bytes) = (self.keys.load(Relaxed), self.blocks.len() * WORDS * 8);
        (keys > bytes * 8 / CROWDED && bytes + WORDS * 8 <= LEDGER_FILTER_BYTES).then_some(keys * 2)
    }

    /// Keys are hashes: their bits are as good as random.
    fn block(&self, key: i64) -> &[AtomicU64; WORDS] {
        let index = (u128::from(key.cast_unsigned()) * self.blocks.len() as u128) >> 64;
        &self.blocks[usize::try_from(index).expect("below the number of blocks")]
    }
}

/// Where the bits of a key stand in its block. The highest bits of a key choose the block, so these are the lowest.
fn bits(key: i64) -> impl Iterator<Item = (usize, u64)> {
    (0..BITS).map(move |number| {
        let place = key.cast_unsigned() >> (9 * number) & 511;
        (usize::try_from(place >> 6).expect("below 8"), 1 << (place & 63))
    })
}

fn read_keys(path: &std::path::Path, filter: &Weak<Filter>) -> Sql<()> {
    let db = connection::reader(path)?;
    let mut statement = db.prepare("SELECT key FROM sent_keys WHERE key > ?1 ORDER BY key LIMIT ?2")?;
    let mut after = None;
    // No key is the lowest number but by a chance of 1 in 2^64; asked for in vain, it costs a duplicate.
    while let Some(filter) = filter.upgrade() {
        let mut rows = statement.query([after.unwrap_or(i64::MIN), PAGE])?;
        let before = after;
        while let Some(row) = rows.next()? {
            let key = row.get(0)?;
            filter.insert(key);
            after = Some(key);
        }
        if after == before {
            filter.completed();
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy;

    fn keys(count: usize) -> Vec<i64> {
        (0..count).map(|_| i64::from_le_bytes(entropy::random())).collect()
    }

    #[test]
    fn holds_what_it_was_given_and_hardly_anything_else() {
        let filter = Filter::new(0);
        let (held, others) = (keys(200_000), keys(200_000));
        held.iter().for_each(|key| filter.insert(*key));
        assert!(others.iter().all(|key| filter.may_hold(*key)), "it says nothing before it is complete");
        filter.completed();
        assert!(held.iter().all(|key| filter.may_hold(*key)));
        let wrong = others.iter().filter(|key| filter.may_hold(**key)).count();
        assert!(wrong < 2000, "{wrong} of 200,000");
    }

    #[test]
    fn is_outgrown_until_it_is_as_large_as_it_may_be() {
        let filter = Filter::new(0);
        assert_eq!(filter.outgrown(), None);
        keys(LEAST_BYTES + 1).into_iter().for_each(|key| filter.insert(key));
        assert_eq!(filter.outgrown(), Some(2 * (LEAST_BYTES + 1)));
        let largest = Filter::new(usize::MAX);
        assert_eq!(largest.blocks.len() * WORDS * 8, LEDGER_FILTER_BYTES);
        largest.keys.store(usize::MAX / 2, Relaxed);
        assert_eq!(largest.outgrown(), None);
    }
}
