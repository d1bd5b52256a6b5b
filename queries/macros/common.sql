-- Without white space (tabs and no-break spaces too) at the ends, single spaces inside; NULL where nothing is left.
-- Most texts are ASCII with single blanks: looked at so, they cost a tenth of what the expression does.
CREATE OR REPLACE MACRO tidy(raw) AS nullif(trim(
  CASE WHEN strlen(raw) = length(raw) AND NOT contains(raw, '  ') AND NOT contains(raw, chr(9)) AND NOT contains(raw, chr(10))
    AND NOT contains(raw, chr(12)) AND NOT contains(raw, chr(13)) THEN raw
  ELSE regexp_replace(raw, '[\s\x{00A0}\x{2000}-\x{200B}\x{3000}\x{FEFF}]+', ' ', 'g') END), '');
