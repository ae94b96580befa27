-- Accounts, their devices, and the signed chain of manifests that joins the two.
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- Raised when the store is restored from a backup; part of every cursor's meaning.
  store_generation INTEGER NOT NULL
) STRICT;
INSERT INTO meta (one, store_generation) VALUES (1, 1);

CREATE TABLE accounts (
  account_no INTEGER PRIMARY KEY,
  account_id BLOB NOT NULL UNIQUE,
  username TEXT NOT NULL UNIQUE,
  identity_key BLOB NOT NULL UNIQUE,
  enabled INTEGER NOT NULL DEFAULT 1,
  administrator INTEGER NOT NULL,
  manifest_version INTEGER NOT NULL,
  -- A PHC string; null where no password was set.
  password_hash TEXT,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
  device_no INTEGER PRIMARY KEY,
  device_id BLOB NOT NULL UNIQUE,
  account_no INTEGER NOT NULL REFERENCES accounts,
  device_key BLOB NOT NULL UNIQUE,
  -- 0 pending, 1 active, 2 revoked
  state INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen INTEGER NOT NULL DEFAULT 0,
  incarnation INTEGER NOT NULL DEFAULT 0,
  -- The device's own log.
  own_log_no INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_of_account ON devices (account_no);

CREATE TABLE manifests (
  manifest_no INTEGER PRIMARY KEY,
  account_no INTEGER NOT NULL REFERENCES accounts,
  version INTEGER NOT NULL,
  hash BLOB NOT NULL,
  manifest BLOB NOT NULL,
  UNIQUE (account_no, version)
) STRICT;
