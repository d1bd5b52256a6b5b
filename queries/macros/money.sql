-- Amounts of money as people write them, exactly or not at all.

-- The amount in a text: 1,234.50 of '$1,234.50', -12.5 of '(12.50)' or '12.50-'; `point` is the decimal sign, the other groups
-- thousands. NULL where it is no such amount, or has more than four decimals.
CREATE OR REPLACE MACRO money_of(raw, point := '.') AS (
  SELECT CASE
    WHEN regexp_full_match(t, '-?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]{1,4})?')
      OR regexp_full_match(t, '([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]{1,4})?-')
      OR regexp_full_match(t, '\(([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]{1,4})?\)')
    THEN TRY_CAST(if(regexp_matches(t, '[-(]'), '-', '') || regexp_replace(t, '[^0-9.]', '', 'g') AS DECIMAL(18,4))
  END
  FROM (SELECT regexp_replace(
    if(point = ',', translate(raw, '.,', ',.'), raw), '[\s\x{A0}\x{202F}$€£¥]|[A-Za-z]{1,3}\$|\b[A-Za-z]{3}\b', '', 'g') AS t)
);

-- The currency in a text: EUR of '12,50 €' or 'EUR 12'; a bare $ is the `dollar`. NULL where none is named.
CREATE OR REPLACE MACRO currency_of(raw, dollar := 'USD') AS CASE
  WHEN raw LIKE '%€%' THEN 'EUR'
  WHEN raw LIKE '%£%' THEN 'GBP'
  WHEN raw LIKE '%¥%' THEN 'JPY'
  WHEN regexp_matches(raw, '(?i)\bCA\$|\bC\$') THEN 'CAD'
  WHEN regexp_matches(raw, '(?i)\bAU\$|\bA\$') THEN 'AUD'
  WHEN regexp_matches(raw, '(?i)\bUS\$') THEN 'USD'
  WHEN raw LIKE '%$%' THEN dollar
  ELSE nullif(upper(regexp_extract(raw, '\b([A-Za-z]{3})\b', 1)), '')
END;
