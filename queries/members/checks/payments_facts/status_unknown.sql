SELECT payment_id, 'status is ' || coalesce(status, 'missing') AS reason
FROM payments_facts
WHERE coalesce(status, '') NOT IN ('settled', 'refunded', 'failed', 'pending')
