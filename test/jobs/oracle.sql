-- What dim_members and fact_payments must hold, computed by Postgres from copies of the sources, without a macro, a
-- model or a line of the project's own. Tables: members, payments, corrections (copies), contacts (the CRM's own).
CREATE SCHEMA IF NOT EXISTS oracle;

CREATE TABLE IF NOT EXISTS oracle.dialling (country text PRIMARY KEY, code text, trunk text, national text);
INSERT INTO oracle.dialling VALUES
  ('US', '1', '', '[2-9]\d{2}[2-9]\d{6}'), ('GB', '44', '0', '[1-9]\d{8,9}'), ('DE', '49', '0', '[1-9]\d{6,10}'),
  ('FR', '33', '0', '[1-9]\d{8}'), ('IT', '39', '', '(3\d{8,9}|0[1-9]\d{4,9})'), ('ES', '34', '', '[6-9]\d{8}'),
  ('SE', '46', '0', '[1-9]\d{6,8}'), ('PL', '48', '', '[1-9]\d{8}'), ('JP', '81', '0', '[1-9]\d{8,9}'),
  ('BR', '55', '', '[1-9]{2}\d{8,9}'), ('IN', '91', '0', '[1-9]\d{9}'), ('KR', '82', '0', '[1-9]\d{7,9}'),
  ('GR', '30', '', '[26]\d{9}'), ('TR', '90', '0', '[2-5]\d{9}'), ('UA', '380', '0', '[1-9]\d{8}'),
  ('CZ', '420', '', '[2-9]\d{8}'), ('NL', '31', '0', '[1-9]\d{8}'), ('EG', '20', '0', '[1-9]\d{7,9}')
ON CONFLICT DO NOTHING;

-- National numbers are looked up by country, international ones by the calling code they begin with.
CREATE OR REPLACE FUNCTION oracle.phone(raw text, home text) RETURNS text LANGUAGE sql STABLE AS $$
  WITH bare AS (
    SELECT btrim(regexp_replace(regexp_replace(regexp_replace(raw, '^Tel: ', ''), ' \(mobile\)$', ''), ' (ext\. |x)\d+$', '')) AS text
  ), digits AS (
    SELECT regexp_replace(regexp_replace(text, '\(0\)', ''), '\D', '', 'g') AS d, text ~ '^(\+|00)' AND text !~ '^0000' AS abroad, text FROM bare
  )
  SELECT '+' || c.code || n.rest
  FROM digits, oracle.dialling c, LATERAL (
    SELECT CASE
      WHEN abroad AND regexp_replace(d, '^00', '') LIKE c.code || '%' THEN substr(regexp_replace(d, '^00', ''), length(c.code) + 1)
      WHEN NOT abroad AND c.country = home THEN substr(d, CASE WHEN c.trunk <> '' AND d LIKE c.trunk || '%' THEN 2 ELSE 1 END)
    END AS rest
  ) n
  WHERE text !~ '[[:alpha:]]' AND n.rest ~ ('^' || c.national || '$')
$$;

-- White space includes the no-break space that people paste.
CREATE OR REPLACE FUNCTION oracle.squeeze(raw text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT nullif(btrim(regexp_replace(raw, '[[:space:]' || chr(160) || ']+', ' ', 'g')), '')
$$;

CREATE OR REPLACE FUNCTION oracle.email(raw text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT lower(oracle.squeeze(raw)) WHERE lower(oracle.squeeze(raw)) ~ '^[a-z0-9_+-]+(\.[a-z0-9_+-]+)*@([a-z0-9-]+\.)+[a-z]{2,}$'
$$;

-- The abbreviations that the sample's streets use.
CREATE OR REPLACE FUNCTION oracle.street(raw text, country text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE country
    WHEN 'US' THEN replace(replace(replace(replace(replace(raw, 'Main St', 'Main Street'), '2nd St NW', '2nd Street NW'),
      'Jr. Blvd', 'Jr. Boulevard'), 'Elm Dr,', 'Elm Drive,'), 'Park Ave', 'Park Avenue')
    WHEN 'DE' THEN replace(raw, 'Goethestr.', 'Goethestraße')
    ELSE raw END
$$;

CREATE OR REPLACE VIEW oracle.last_payment AS
  SELECT DISTINCT ON (payment_id) * FROM oracle.payments ORDER BY payment_id, updated_at DESC;

CREATE OR REPLACE VIEW oracle.judged AS
WITH contact AS (
  SELECT DISTINCT ON (member_id) *, oracle.email(preferred_email) AS e, oracle.phone(preferred_phone, country) AS p
  FROM contacts ORDER BY member_id, updated_at DESC, contact_id::text COLLATE "C" DESC
), correction AS (
  SELECT DISTINCT ON (member_id) * FROM oracle.corrections ORDER BY member_id, corrected_at DESC
), worth AS (
  SELECT member_id, coalesce(sum(amount) FILTER (WHERE status = 'settled'), 0) AS total,
    count(*) FILTER (WHERE status = 'settled') AS n,
    count(DISTINCT currency) FILTER (WHERE status = 'settled') > 1 AS mixed, max(updated_at) AS at
  FROM oracle.last_payment GROUP BY member_id
), cleaned AS (
  SELECT m.*, oracle.email(m.email) AS e, oracle.phone(m.phone, coalesce(upper(m.country), k.country, c.country)) AS p,
    coalesce(c.country, upper(m.country), k.country) AS home, k.e AS ke, k.p AS kp, k.updated_at AS k_at,
    c.corrected_at AS c_at, c.address_line1 AS c_line, c.city AS c_city, c.region AS c_region, c.postal_code AS c_postal,
    w.total, w.n, w.mixed, w.at AS w_at
  FROM oracle.members m LEFT JOIN contact k USING (member_id) LEFT JOIN correction c USING (member_id)
    LEFT JOIN worth w USING (member_id)
)
SELECT
  (monthly_fee < 0 OR end_date < join_date OR (e IS NULL AND oracle.squeeze(email) IS NOT NULL AND p IS NULL)) IS TRUE AS bad,
  member_id, oracle.squeeze(first_name) AS first_name, oracle.squeeze(last_name) AS last_name,
  coalesce(e, ke) AS email, coalesce(p, kp) AS phone_e164,
  oracle.street(CASE WHEN c_at IS NULL THEN address_line1 ELSE c_line END, home) AS address_line1,
  oracle.squeeze(CASE WHEN c_at IS NULL THEN city ELSE c_city END) AS city,
  CASE WHEN c_at IS NULL THEN region ELSE c_region END AS region,
  CASE WHEN c_at IS NULL THEN postal_code ELSE c_postal END AS postal_code,
  home AS country, membership_status, membership_type, birth_date, join_date, end_date,
  CASE WHEN least(end_date, :run_at::date) < join_date THEN 0 ELSE
    (extract(year FROM age(least(end_date, :run_at::date), join_date)) * 12
      + extract(month FROM age(least(end_date, :run_at::date), join_date)))::int END AS tenure_months,
  coalesce(total, 0)::numeric(14,2) AS lifetime_value, coalesce(n, 0)::int AS payments_count,
  array_to_string(ARRAY[
    CASE WHEN c_at IS NOT NULL THEN 'address_corrected' END,
    CASE WHEN birth_date IS NULL THEN 'birth_date_missing' END,
    CASE WHEN country IS NULL THEN 'country_missing' END,
    CASE WHEN e IS NULL AND ke IS NOT NULL THEN 'email_from_crm' END,
    CASE WHEN e IS NULL AND oracle.squeeze(email) IS NOT NULL THEN 'email_invalid' END,
    CASE WHEN e IS NULL AND ke IS NULL THEN 'email_missing' END,
    CASE WHEN e <> email THEN 'email_repaired' END,
    CASE WHEN mixed THEN 'mixed_currencies' END,
    CASE WHEN p IS NULL AND kp IS NOT NULL THEN 'phone_from_crm' END,
    CASE WHEN p IS NULL AND phone IS NOT NULL THEN 'phone_invalid' END,
    CASE WHEN p IS NULL AND kp IS NULL THEN 'phone_missing' END,
    CASE WHEN (CASE WHEN c_at IS NULL THEN postal_code ELSE c_postal END) IS NULL THEN 'postal_code_missing' END
  ], ',') AS quality_flags,
  created_at, greatest(updated_at, k_at, w_at, c_at) AS updated_at
FROM cleaned;

CREATE TABLE IF NOT EXISTS oracle.dim_members AS SELECT * FROM oracle.judged LIMIT 0;
CREATE TABLE IF NOT EXISTS oracle.fact_payments AS SELECT * FROM oracle.last_payment LIMIT 0;
