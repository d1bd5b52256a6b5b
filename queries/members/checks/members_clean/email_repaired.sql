SELECT member_id, 'warn' AS severity, 'e-mail was ' || email_given AS reason
FROM members_clean
WHERE email <> email_given
