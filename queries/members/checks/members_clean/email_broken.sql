-- A broken e-mail is rejected where the phone cannot be used either: nobody could reach the member.
SELECT
  member_id,
  if(phone_e164 IS NULL, 'reject', 'warn') AS severity,
  'e-mail is not valid: ' || email_trimmed || if(phone_e164 IS NULL, ', and there is no usable phone', '') AS reason
FROM members_clean
WHERE email IS NULL AND email_trimmed IS NOT NULL
