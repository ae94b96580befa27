-- Bytes of messages that stand in a log, and of those that the devices of an account have sent.
ALTER TABLE logs ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE logs SET stored_bytes = sums.bytes
FROM (SELECT place >> 40 AS no, sum(length(body)) AS bytes FROM entries WHERE kind = 1 AND body IS NOT NULL GROUP BY 1) AS sums
WHERE sums.no = log_no;

-- Written about once a second: after a crash an account may have sent a little more than stands here.
CREATE TABLE usage (account_no INTEGER PRIMARY KEY REFERENCES accounts, bytes INTEGER NOT NULL) STRICT;
INSERT INTO usage (account_no, bytes)
SELECT account_no, sum(length(body)) FROM entries JOIN devices ON device_no = sender
WHERE kind = 1 AND body IS NOT NULL GROUP BY account_no;
