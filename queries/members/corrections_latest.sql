-- One correction a member: the latest.
SELECT member_id, address_line1, city, region, postal_code, nullif(upper(trim(country)), '') AS country, corrected_at
FROM corrections
QUALIFY row_number() OVER (
  PARTITION BY member_id ORDER BY corrected_at DESC, address_line1, city, region, postal_code, country
) = 1
