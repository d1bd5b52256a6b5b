-- Without white space (tabs and no-break spaces too) at the ends, single spaces inside; NULL where nothing is left.
CREATE OR REPLACE MACRO tidy(raw) AS
  nullif(trim(regexp_replace(raw, '[\s\x{00A0}\x{2000}-\x{200B}\x{3000}\x{FEFF}]+', ' ', 'g')), '');
