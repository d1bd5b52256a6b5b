-- Payments that moved money, with its sign: what came in, less what was given back.
SELECT
  payment_id,
  member_id,
  currency,
  CASE status WHEN 'refunded' THEN -amount ELSE amount END AS signed_amount
FROM payments_facts
WHERE status IN ('settled', 'refunded')
