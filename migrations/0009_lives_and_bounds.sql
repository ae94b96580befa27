-- Messages that expire, and what bounds have to know.
ALTER TABLE entries ADD COLUMN expires_at INTEGER;
-- 1 where the sender says so, else null.
ALTER TABLE entries ADD COLUMN urgent INTEGER;
-- Bodies that are still to be deleted; the row stays until everybody has passed it.
CREATE INDEX entries_expiring ON entries (expires_at) WHERE expires_at IS NOT NULL AND body IS NOT NULL;

-- When an init key came: after the longest life of a key package nobody can use it any more.
ALTER TABLE used_init_keys ADD COLUMN uploaded_at INTEGER NOT NULL DEFAULT 0;
UPDATE used_init_keys SET uploaded_at = unixepoch() * 1000;
CREATE INDEX used_init_keys_by_time ON used_init_keys (uploaded_at);

-- Bytes of the group's commits up to and with this one.
ALTER TABLE commits ADD COLUMN total_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX commits_by_bytes ON commits (log_no, total_bytes, seq);
