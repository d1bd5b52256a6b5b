-- Without white space (tabs and no-break spaces too) at the ends, single spaces inside; NULL where nothing is left.
-- Most texts are tidy: one look tells, which costs a fraction of putting them in order.
CREATE OR REPLACE MACRO tidy(raw) AS nullif(trim(
  CASE WHEN regexp_matches(raw, '  |[\t\n\f\r\x{00A0}\x{2000}-\x{200B}\x{3000}\x{FEFF}]')
  THEN regexp_replace(raw, '[\s\x{00A0}\x{2000}-\x{200B}\x{3000}\x{FEFF}]+', ' ', 'g') ELSE raw END), '');
