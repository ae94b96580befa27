-- Groups: the epoch, the public state, the commits that made it, and what is asked of the next one.
CREATE TABLE reservations (
  group_id BLOB PRIMARY KEY,
  device_no INTEGER NOT NULL REFERENCES devices,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_of_device ON reservations (device_no, expires_at);
CREATE INDEX reservations_by_expiry ON reservations (expires_at);

CREATE TABLE groups (
  log_no INTEGER PRIMARY KEY REFERENCES logs,
  group_id BLOB NOT NULL UNIQUE,
  -- What a person sees as one chat: the id of its first group, kept by resets.
  conversation_id BLOB NOT NULL,
  direct_key BLOB UNIQUE,
  creator INTEGER NOT NULL REFERENCES devices,
  epoch INTEGER NOT NULL DEFAULT 0,
  epoch_seq INTEGER NOT NULL DEFAULT 0,
  -- The epoch made by the last commit that removed a leaf: a removed device still holds older keys.
  last_removal_epoch INTEGER NOT NULL DEFAULT 0,
  frozen INTEGER NOT NULL DEFAULT 0,
  successor BLOB,
  created_at INTEGER NOT NULL
) STRICT;

-- Apart from `groups`, whose rows are small and hot.
CREATE TABLE group_infos (log_no INTEGER PRIMARY KEY REFERENCES groups, group_info BLOB NOT NULL) STRICT;

CREATE TABLE commits (
  log_no INTEGER NOT NULL REFERENCES groups,
  from_epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  device_no INTEGER NOT NULL,
  commit_hash BLOB NOT NULL,
  bundle_hash BLOB NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (log_no, from_epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX commits_by_hash ON commits (log_no, commit_hash);
CREATE INDEX commits_by_bundle ON commits (log_no, bundle_hash);
CREATE INDEX commits_by_time ON commits (time);

-- Proposals of the current epoch; their bodies are entries.
CREATE TABLE proposals (
  log_no INTEGER NOT NULL REFERENCES groups,
  seq INTEGER NOT NULL,
  PRIMARY KEY (log_no, seq)
) STRICT, WITHOUT ROWID;

-- What members' devices said of the current epoch; a null tag is a nack.
CREATE TABLE confirmations (
  log_no INTEGER NOT NULL REFERENCES groups,
  device_no INTEGER NOT NULL REFERENCES devices,
  tag BLOB,
  PRIMARY KEY (log_no, device_no)
) STRICT, WITHOUT ROWID;

-- Devices of member accounts that nobody could add for want of key packages.
CREATE TABLE add_tasks (
  log_no INTEGER NOT NULL REFERENCES groups,
  device_no INTEGER NOT NULL REFERENCES devices,
  asked_at INTEGER NOT NULL,
  PRIMARY KEY (log_no, device_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX add_tasks_of_device ON add_tasks (device_no);
