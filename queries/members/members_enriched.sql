-- dim_members: the clean member with what CRM and payments add. updated_at is the latest change of any of them, so
-- that a new payment alone brings the row to the warehouse.
SELECT
  m.member_id,
  m.first_name,
  m.last_name,
  coalesce(m.email, k.email) AS email,
  coalesce(m.phone_e164, k.phone_e164) AS phone_e164,
  m.address_line1,
  m.city,
  m.region,
  m.postal_code,
  m.country,
  m.membership_status,
  m.membership_type,
  m.birth_date,
  m.join_date,
  m.end_date,
  tenure_months(
    m.join_date,
    least(m.end_date, (coalesce(getvariable('run_at')::TIMESTAMPTZ, now()) AT TIME ZONE 'UTC')::DATE)
  ) AS tenure_months,
  coalesce(v.lifetime_value, 0)::DECIMAL(14,2) AS lifetime_value,
  coalesce(v.payments_count, 0)::INTEGER AS payments_count,
  -- In alphabetical order; concat_ws leaves out NULLs.
  concat_ws(',',
    if(m.corrected_at IS NOT NULL, 'address_corrected', NULL),
    if(m.birth_date IS NULL, 'birth_date_missing', NULL),
    if(m.country_missing, 'country_missing', NULL),
    if(m.email IS NULL AND k.email IS NOT NULL, 'email_from_crm', NULL),
    if(m.email IS NULL AND m.email_trimmed IS NOT NULL, 'email_invalid', NULL),
    if(coalesce(m.email, k.email) IS NULL, 'email_missing', NULL),
    if(m.email <> m.email_given, 'email_repaired', NULL),
    if(v.mixed_currencies, 'mixed_currencies', NULL),
    if(m.phone_e164 IS NULL AND k.phone_e164 IS NOT NULL, 'phone_from_crm', NULL),
    if(m.phone_e164 IS NULL AND tidy(m.phone_given) IS NOT NULL, 'phone_invalid', NULL),
    if(coalesce(m.phone_e164, k.phone_e164) IS NULL, 'phone_missing', NULL),
    if(m.postal_code IS NULL, 'postal_code_missing', NULL)
  ) AS quality_flags,
  m.created_at::TIMESTAMP AS created_at,
  greatest(m.updated_at::TIMESTAMPTZ, k.updated_at::TIMESTAMPTZ, v.updated_at, m.corrected_at) AS updated_at
FROM members_clean AS m
LEFT JOIN contacts_latest AS k ON k.member_id = m.member_id
LEFT JOIN member_value AS v ON v.member_id = m.member_id
