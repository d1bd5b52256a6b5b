SELECT payment_id, 'amount is ' || coalesce(amount::VARCHAR, 'missing') AS reason
FROM payments_facts
WHERE coalesce(amount, -1) < 0
