-- Whole months from one day to another: 31 January to 28 February is 0. NULL where either is NULL, 0 where `till`
-- comes first.
CREATE OR REPLACE MACRO tenure_months(since, till) AS
  CASE WHEN till < since THEN 0 ELSE date_sub('month', since::DATE, till::DATE) END::INTEGER;

-- The date in a text of one of ten forms: 2026-01-31, 2026/01/31, 20260131, 31.01.2026, 31/01/2026, 31-01-2026, 31 Jan 2026,
-- 31 January 2026, Jan 31, 2026, January 31, 2026; or NULL, as where the
-- year has two digits. With day_first := false, 01/31/2026 and 01-31-2026.
CREATE OR REPLACE MACRO date_of(raw, day_first := true) AS if(regexp_matches(raw, '[0-9]{4}'), coalesce(
  try_strptime(trim(raw), ['%Y-%m-%d', '%Y/%m/%d', '%Y%m%d', '%d.%m.%Y', '%d %b %Y', '%d %B %Y', '%b %d, %Y', '%B %d, %Y']),
  if(day_first, try_strptime(trim(raw), ['%d/%m/%Y', '%d-%m-%Y']), try_strptime(trim(raw), ['%m/%d/%Y', '%m-%d-%Y']))
), NULL)::DATE;
