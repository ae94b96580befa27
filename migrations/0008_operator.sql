-- What operators do: accounts that are gone for good, and notices.

-- A deleted account keeps its row, so that nobody else takes the name.
ALTER TABLE accounts ADD COLUMN deleted_at INTEGER;

-- Notices on their way into the logs of those they are for. A row goes when the last of them has it.
CREATE TABLE notices (
  notice_no INTEGER PRIMARY KEY,
  -- All entries of the notice share it; kept while the notice is on its way, even if nobody's entry is left.
  body_no INTEGER NOT NULL REFERENCES bodies,
  entry_hash BLOB NOT NULL,
  time INTEGER NOT NULL,
  -- Null: for all.
  account_no INTEGER REFERENCES accounts,
  -- Devices up to this number have it.
  reached INTEGER NOT NULL DEFAULT 0,
  -- Devices behind this number were enrolled later.
  last_device INTEGER NOT NULL
) STRICT;
