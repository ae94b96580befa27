-- What accounts show of themselves, when they were last there, and how far they say to have read.
ALTER TABLE accounts ADD COLUMN hide_presence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN hide_receipts INTEGER NOT NULL DEFAULT 0;
-- Rounded down to 5 minutes; 0: never, or only while it was hidden.
ALTER TABLE accounts ADD COLUMN last_there INTEGER NOT NULL DEFAULT 0;

CREATE TABLE read_markers (
  log_no INTEGER NOT NULL REFERENCES logs,
  account_no INTEGER NOT NULL REFERENCES accounts,
  seq INTEGER NOT NULL,
  PRIMARY KEY (log_no, account_no)
) STRICT, WITHOUT ROWID;
