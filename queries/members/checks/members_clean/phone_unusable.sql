SELECT member_id, 'warn' AS severity, 'no telephone number: ' || phone_given AS reason
FROM members_clean
WHERE phone_e164 IS NULL AND tidy(phone_given) IS NOT NULL
