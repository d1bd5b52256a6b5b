-- What each member is worth so far; exact, since decimals are summed as decimals. `updated_at` covers every payment:
-- one that failed later changes the value too.
SELECT
  f.member_id,
  coalesce(sum(s.amount), 0)::DECIMAL(14,2) AS lifetime_value,
  count(s.payment_id)::INTEGER AS payments_count,
  count(DISTINCT s.currency) > 1 AS mixed_currencies,
  max(f.updated_at) AS updated_at
FROM payments_facts AS f
LEFT JOIN payments_settled AS s ON s.payment_id = f.payment_id
GROUP BY f.member_id
