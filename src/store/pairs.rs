//! Pairs of numbers on their way into an index, many by one statement: most of the cost of a small row is the statement.

use rusqlite::Connection;

use super::values::Sql;

/// Pairs that one statement takes.
const MANY: usize = 32;

/// How pairs get into one table.
pub(super) struct Pairs {
    one: String,
    many: String,
}

impl Pairs {
    /// By a statement without its values, which must not fail on a pair that is there already.
    pub(super) fn by(insert: &str) -> Self {
        Self { one: format!("{insert} VALUES (?, ?)"), many: format!("{insert} VALUES (?, ?){}", ", (?, ?)".repeat(MANY - 1)) }
    }

    /// Inserts them in their order.
    pub(super) fn insert(&self, db: &Connection, pairs: &[(i64, i64)]) -> Sql<()> {
        let (many, rest) = pairs.as_chunks::<MANY>();
        if !many.is_empty() {
            let mut statement = db.prepare_cached(&self.many)?;
            for pairs in many {
                for (index, number) in pairs.iter().flat_map(|(first, second)| [first, second]).enumerate() {
                    statement.raw_bind_parameter(index + 1, number)?;
                }
                statement.raw_execute()?;
            }
        }
        if !rest.is_empty() {
            let mut statement = db.prepare_cached(&self.one)?;
            for pair in rest {
                statement.execute(*pair)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_are_get_in_and_those_that_are_there_stay() {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch("CREATE TABLE numbers (first INTEGER PRIMARY KEY, second INTEGER NOT NULL) STRICT").expect("a table");
        let pairs = Pairs::by("INSERT OR IGNORE INTO numbers (first, second)");
        let most = i64::try_from(3 * MANY + 5).expect("a small number");
        let all: Vec<_> = (0..most).map(|number| (number * 7, -number)).collect();
        for count in [0, 1, MANY - 1, MANY, MANY + 1, all.len()] {
            pairs.insert(&db, &all[..count]).expect("they get in");
            let mut statement = db.prepare("SELECT first, second FROM numbers ORDER BY first").expect("a statement");
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
            assert_eq!(rows.collect::<Sql<Vec<(i64, i64)>>>().expect("numbers"), all[..count]);
        }
    }
}
