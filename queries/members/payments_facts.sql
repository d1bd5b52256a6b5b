-- Every payment as its last message told it, for fact_payments.
SELECT
  payment_id,
  member_id::BIGINT AS member_id,
  amount::DECIMAL(12,2) AS amount,
  upper(trim(currency)) AS currency,
  lower(trim(method)) AS method,
  lower(trim(status)) AS status,
  paid_at,
  updated_at
FROM payments
