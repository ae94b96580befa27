-- Key packages in stock, and the claims by which they were handed out for a group.
CREATE TABLE key_packages (
  key_package_no INTEGER PRIMARY KEY,
  device_no INTEGER NOT NULL REFERENCES devices,
  last_resort INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  reference BLOB NOT NULL,
  bytes BLOB NOT NULL,
  uploaded_at INTEGER NOT NULL
) STRICT;
CREATE INDEX key_packages_of_device ON key_packages (device_no, last_resort);

-- An init key is published once, ever.
CREATE TABLE used_init_keys (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
  claim_no INTEGER PRIMARY KEY,
  claimer INTEGER NOT NULL REFERENCES devices,
  claim_id BLOB NOT NULL,
  group_id BLOB NOT NULL,
  -- SHA-256 of what was asked: the same id for something else is a conflict.
  request_hash BLOB NOT NULL,
  claimed_at INTEGER NOT NULL,
  UNIQUE (claimer, claim_id)
) STRICT;
CREATE INDEX claims_by_time ON claims (claimed_at);

CREATE TABLE claim_items (
  item_no INTEGER PRIMARY KEY,
  claim_no INTEGER NOT NULL REFERENCES claims ON DELETE CASCADE,
  group_id BLOB NOT NULL,
  device_no INTEGER NOT NULL REFERENCES devices,
  -- Null where the device had none left.
  reference BLOB,
  bytes BLOB,
  redeemed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX claim_items_of_claim ON claim_items (claim_no);
CREATE INDEX claim_items_open ON claim_items (device_no, group_id) WHERE redeemed = 0;
