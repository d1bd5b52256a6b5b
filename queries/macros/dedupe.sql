-- What is one thing, written differently, and which of its rows to keep.

-- A text to compare by: small letters without accents, words in order of the alphabet: 'jurgen muller' of 'Müller, Jürgen'.
-- NULL where nothing is left.
CREATE OR REPLACE MACRO match_key(raw) AS nullif(array_to_string(list_sort(string_split(trim(
  regexp_replace(strip_accents(lower(raw)), '[^\p{L}\p{N}]+', ' ', 'g')), ' ')), ' '), '');

-- Whether two texts are the same but for a slip: by their match keys, from `least` (0 to 1) on.
CREATE OR REPLACE MACRO alike(one, other, least_likeness := 0.92) AS
  jaro_winkler_similarity(match_key(one), match_key(other)) >= least_likeness;

-- One row a key, the one that changed last; `tie` decides between two of one time, the greater wins:
-- SELECT … QUALIFY newest_row(customer_id, changed_at, row_id).
CREATE OR REPLACE MACRO newest_row(key, changed_at, tie) AS
  row_number() OVER (PARTITION BY key ORDER BY changed_at DESC NULLS LAST, tie DESC NULLS LAST) = 1;
