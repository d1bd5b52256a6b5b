-- Versions of rows over time: what a load in mode scd2 keeps, and what a source of versions gives.

-- Whether a version held at a moment: from `valid_from` on, until before `valid_to`; NULL there is for ever.
CREATE OR REPLACE MACRO valid_at(valid_from, valid_to, moment) AS
  moment >= valid_from AND (valid_to IS NULL OR moment < valid_to);

-- Until when a version holds: the beginning of the next one of its key; NULL of the last.
CREATE OR REPLACE MACRO valid_until(key, valid_from) AS
  lead(valid_from) OVER (PARTITION BY key ORDER BY valid_from);

-- Whether a value is another than in the version before, or the first of its key: SELECT … QUALIFY is_change(status, id, changed_at).
CREATE OR REPLACE MACRO is_change(value, key, moment) AS
  row_number() OVER (PARTITION BY key ORDER BY moment) = 1
  OR value IS DISTINCT FROM lag(value) OVER (PARTITION BY key ORDER BY moment);
