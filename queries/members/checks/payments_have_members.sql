SELECT
  if(count(*) = 0, 'pass', 'warn') AS level,
  count(*) || ' payments are of unknown members' AS message
FROM payments_facts AS p
ANTI JOIN members AS m ON m.member_id::BIGINT = p.member_id
