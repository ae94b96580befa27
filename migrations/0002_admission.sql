-- Who may come in: invites and session tokens, both kept as hashes; and what operators did, for ever.
CREATE TABLE invites (
  hash BLOB PRIMARY KEY,
  uses_left INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  administrator INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  hash BLOB PRIMARY KEY,
  device_no INTEGER NOT NULL REFERENCES devices,
  -- The hash of the family's first token: a replay revokes the whole family.
  family BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  successor BLOB,
  replaced_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_device ON tokens (device_no);
CREATE INDEX tokens_of_family ON tokens (family);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE audit (
  audit_no INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  -- "operator", or the account id in hex.
  actor TEXT NOT NULL,
  what TEXT NOT NULL,
  target TEXT NOT NULL
) STRICT;
