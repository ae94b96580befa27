-- How accounts stand to each other, each in its own eyes, and the groups that an account was added to by somebody it had
-- not accepted.
CREATE TABLE relations (
  account_no INTEGER NOT NULL REFERENCES accounts,
  other_no INTEGER NOT NULL REFERENCES accounts,
  -- 1 requested, 2 request, 3 accepted, 4 blocked; strangers have no row
  state INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (account_no, other_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX relations_by_state ON relations (account_no, state);
CREATE INDEX relations_of_others ON relations (other_no, state);

-- A group without a row here is accepted.
CREATE TABLE group_requests (
  account_no INTEGER NOT NULL REFERENCES accounts,
  log_no INTEGER NOT NULL REFERENCES groups,
  added_by INTEGER NOT NULL REFERENCES accounts,
  PRIMARY KEY (account_no, log_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_requests_by_adder ON group_requests (account_no, added_by);

-- The claimer's account where the claim was that of a stranger.
ALTER TABLE claim_items ADD COLUMN stranger INTEGER REFERENCES accounts;
CREATE INDEX claim_items_of_strangers ON claim_items (stranger) WHERE stranger IS NOT NULL AND redeemed = 0;

-- Who talks already, two by two, goes on as contacts.
WITH pairs AS (
  SELECT min(account_no) AS one, max(account_no) AS other, max(groups.created_at) AS since
  FROM groups JOIN windows USING (log_no) JOIN devices USING (device_no)
  WHERE direct_key IS NOT NULL AND leave_seq IS NULL AND windows.state = 0
  GROUP BY groups.log_no HAVING count(DISTINCT account_no) = 2
)
INSERT OR IGNORE INTO relations (account_no, other_no, state, since)
SELECT one, other, 3, since FROM pairs UNION ALL SELECT other, one, 3, since FROM pairs;
