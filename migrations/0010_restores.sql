-- After a restore from a backup: what may have happened since the backup was made, and is not known any more.

-- When the store was last restored; null: never.
ALTER TABLE meta ADD COLUMN restored_at INTEGER;

-- Seqs that a restore passed over: they may have been given to entries that are gone.
CREATE TABLE gaps (
  log_no INTEGER NOT NULL REFERENCES logs,
  from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL,
  -- The running hash before the first of them.
  previous_hash BLOB NOT NULL,
  PRIMARY KEY (log_no, to_seq)
) STRICT, WITHOUT ROWID;

-- 1: the group may have gone on elsewhere, and nothing is taken until its members have said where it stands.
ALTER TABLE groups ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
CREATE INDEX groups_suspended ON groups (log_no) WHERE suspended = 1;
-- The epoch at which its members revived it, until the next commit.
ALTER TABLE groups ADD COLUMN revived_epoch INTEGER;

-- The window was opened because its device was found to be a leaf when the group was revived.
ALTER TABLE windows ADD COLUMN revived INTEGER NOT NULL DEFAULT 0;

-- What members' devices say of their state of a group that was suspended.
CREATE TABLE revivals (
  log_no INTEGER NOT NULL REFERENCES groups,
  device_no INTEGER NOT NULL REFERENCES devices,
  epoch INTEGER NOT NULL,
  tag BLOB NOT NULL,
  said_at INTEGER NOT NULL,
  PRIMARY KEY (log_no, device_no)
) STRICT, WITHOUT ROWID;

-- The states themselves, each as the first of those who have it brought it.
CREATE TABLE revived_states (
  log_no INTEGER NOT NULL REFERENCES groups,
  epoch INTEGER NOT NULL,
  tag BLOB NOT NULL,
  group_info BLOB NOT NULL,
  -- Account ids and device ids of its leaves, 32 bytes each.
  leaves BLOB NOT NULL,
  PRIMARY KEY (log_no, epoch, tag)
) STRICT;
