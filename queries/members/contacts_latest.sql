-- One contact a member: the one changed last; of two changed at once, the higher contact_id.
SELECT
  member_id::BIGINT AS member_id,
  contact_id::VARCHAR AS contact_id,
  email_clean(preferred_email) AS email,
  phone_e164(preferred_phone, country) AS phone_e164,
  nullif(upper(trim(country)), '') AS country,
  time_zone,
  updated_at
FROM contacts
QUALIFY row_number() OVER (PARTITION BY member_id ORDER BY updated_at DESC, contact_id::VARCHAR DESC) = 1
