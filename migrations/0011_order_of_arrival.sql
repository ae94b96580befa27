-- Entries in the order they came, so that a batch fills a few pages whatever the number of its groups. The way from a
-- place in a log to its entry is an index, filled a generation at a time: its newest part is in memory alone.
DROP INDEX entries_of_body;
DROP INDEX entries_expiring;
ALTER TABLE entries RENAME TO entries_by_place;

CREATE TABLE entries (
  -- Never used twice.
  entry_no INTEGER PRIMARY KEY,
  -- log_no << 40 | seq
  place INTEGER NOT NULL,
  time INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  sender INTEGER,
  -- 16 bytes: client id of a message; 32 bytes: SHA-256 of a handshake.
  sender_ref BLOB,
  entry_hash BLOB NOT NULL,
  -- The running hash before this entry.
  previous_hash BLOB NOT NULL,
  body BLOB,
  -- The body stands in `bodies` because several entries share it.
  body_no INTEGER,
  expires_at INTEGER,
  -- 1 where the sender says so, else null.
  urgent INTEGER
) STRICT;
INSERT INTO entries (place, time, kind, sender, sender_ref, entry_hash, previous_hash, body, body_no, expires_at, urgent)
SELECT id, time, kind, sender, sender_ref, entry_hash, previous_hash, body, body_no, expires_at, urgent
FROM entries_by_place ORDER BY id;
DROP TABLE entries_by_place;
CREATE INDEX entries_of_body ON entries (body_no) WHERE body_no IS NOT NULL;
-- Bodies that are still to be deleted; the row stays until everybody has passed it.
CREATE INDEX entries_expiring ON entries (expires_at) WHERE expires_at IS NOT NULL AND body IS NOT NULL;

CREATE TABLE places (place INTEGER PRIMARY KEY, entry_no INTEGER NOT NULL) STRICT;
INSERT INTO places (place, entry_no) SELECT place, entry_no FROM entries ORDER BY place;

CREATE TABLE placed (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- Entries up to here have their places in `places`.
  placed_to INTEGER NOT NULL
) STRICT;
INSERT INTO placed (one, placed_to) SELECT 1, coalesce(max(entry_no), 0) FROM entries;
