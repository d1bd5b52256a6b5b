-- Whole months from one day to another: 31 January to 28 February is 0. NULL where either is NULL, 0 where `till`
-- comes first.
CREATE OR REPLACE MACRO tenure_months(since, till) AS
  CASE WHEN till < since THEN 0 ELSE date_sub('month', since::DATE, till::DATE) END::INTEGER;
