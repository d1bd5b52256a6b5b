-- Members with tidy text, valid e-mail and E.164 phone or none, and the corrected address. What the source gave
-- stays beside it (…_given), for the checks and for whoever reads the quarantine.
WITH placed AS (
  SELECT
    m.*,
    coalesce(c.country, upper(tidy(m.country)), k.country) AS home,
    c.corrected_at,
    c.address_line1 AS new_line1, c.city AS new_city, c.region AS new_region, c.postal_code AS new_postal,
    coalesce(upper(tidy(m.country)), k.country, c.country) AS phone_country
  FROM members AS m
  LEFT JOIN corrections_latest AS c ON c.member_id = m.member_id::BIGINT
  LEFT JOIN contacts_latest AS k ON k.member_id = m.member_id::BIGINT
)
SELECT
  member_id::BIGINT AS member_id,
  tidy(first_name) AS first_name,
  tidy(last_name) AS last_name,
  email_clean(email) AS email,
  phone_e164(phone, phone_country) AS phone_e164,
  address_line(if(corrected_at IS NULL, address_line1, new_line1), home) AS address_line1,
  address_city(if(corrected_at IS NULL, city, new_city)) AS city,
  tidy(if(corrected_at IS NULL, region, new_region)) AS region,
  postal_clean(if(corrected_at IS NULL, postal_code, new_postal), home) AS postal_code,
  home AS country,
  lower(tidy(membership_status::VARCHAR)) AS membership_status,
  lower(tidy(membership_type)) AS membership_type,
  birth_date,
  join_date,
  end_date,
  monthly_fee,
  tidy(email) AS email_trimmed,
  email AS email_given,
  phone AS phone_given,
  tidy(country) IS NULL AS country_missing,
  corrected_at,
  created_at,
  updated_at
FROM placed
