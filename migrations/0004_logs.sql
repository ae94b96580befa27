-- Logs: an entry is stored once, whatever the number of its readers; readers hold windows with cursors.
CREATE TABLE logs (
  log_no INTEGER PRIMARY KEY,
  -- 1 group, 2 device
  kind INTEGER NOT NULL,
  owner BLOB NOT NULL UNIQUE,
  -- Never derived from the entries: a log that was trimmed empty does not start again.
  next_seq INTEGER NOT NULL DEFAULT 1,
  -- The running hash at next_seq - 1.
  running_hash BLOB NOT NULL
) STRICT;

CREATE TABLE entries (
  -- log_no << 40 | seq
  id INTEGER PRIMARY KEY,
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
  body_no INTEGER
) STRICT;
CREATE INDEX entries_of_body ON entries (body_no) WHERE body_no IS NOT NULL;

CREATE TABLE bodies (body_no INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- What was sent under which client id; outlives the entry. A handshake stands here under the start of its hash.
CREATE TABLE sent (
  sent_no INTEGER PRIMARY KEY,
  log_no INTEGER NOT NULL,
  device_no INTEGER NOT NULL,
  client_id BLOB NOT NULL,
  handshake INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  time INTEGER NOT NULL,
  -- The first 16 bytes of the entry hash: the same entry from another device is a conflict.
  entry_hash BLOB NOT NULL
) STRICT;
-- The way from a client id, or an entry hash, to its row: filled a generation at a time, so that random keys do not
-- dirty a page each. Keys may outlive their rows.
CREATE TABLE sent_keys (
  key INTEGER NOT NULL,
  sent_no INTEGER NOT NULL,
  PRIMARY KEY (key, sent_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  salt BLOB NOT NULL,
  -- Rows of `sent` up to here have their keys in `sent_keys`.
  indexed_to INTEGER NOT NULL DEFAULT 0,
  -- Keys of deleted rows up to here are gone.
  swept_to INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE windows (
  window_no INTEGER PRIMARY KEY,
  log_no INTEGER NOT NULL REFERENCES logs,
  device_no INTEGER NOT NULL REFERENCES devices,
  -- Readable is (join_seq, leave_seq]; leave_seq is null while the device is a leaf.
  join_seq INTEGER NOT NULL,
  join_hash BLOB NOT NULL,
  leave_seq INTEGER,
  leave_hash BLOB,
  left_at INTEGER,
  -- 0 open, 1 draining, 2 revoked
  state INTEGER NOT NULL DEFAULT 0,
  cursor INTEGER NOT NULL,
  -- The Welcome's seq in the device's log; null once it was acknowledged, or where none is needed.
  welcome_seq INTEGER,
  -- 0 no, 1 the account is leaving, 2 the device was revoked: the leaf has to go at the next commit.
  removal_asked INTEGER NOT NULL DEFAULT 0,
  UNIQUE (log_no, device_no, join_seq)
) STRICT;
CREATE INDEX windows_of_device ON windows (device_no);
CREATE INDEX windows_removals ON windows (log_no) WHERE removal_asked > 0 AND leave_seq IS NULL;
CREATE INDEX windows_welcome ON windows (device_no, welcome_seq) WHERE welcome_seq IS NOT NULL;
CREATE INDEX windows_closed ON windows (left_at) WHERE leave_seq IS NOT NULL;
