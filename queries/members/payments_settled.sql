-- Payments whose money came in and stayed. A refund is a later word on the same payment_id, so a refunded payment is
-- worth nothing: neither what came in nor, once more, less what was given back.
SELECT payment_id, member_id, currency, amount
FROM payments_facts
WHERE status = 'settled'
