SELECT member_id, 'status is ' || coalesce(membership_status, 'missing') AS reason
FROM members_clean
WHERE coalesce(membership_status, '') NOT IN ('active', 'lapsed', 'suspended', 'cancelled', 'pending')
