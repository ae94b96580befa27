-- What operators do: accounts that are gone for good keep their row, so that nobody else takes the name.
ALTER TABLE accounts ADD COLUMN deleted_at INTEGER;
