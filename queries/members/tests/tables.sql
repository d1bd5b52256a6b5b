-- The extracts' tables as the models see them, for the cases.
CREATE OR REPLACE TABLE members (
  member_id UBIGINT, first_name VARCHAR, last_name VARCHAR, email VARCHAR, phone VARCHAR, address_line1 VARCHAR,
  city VARCHAR, region VARCHAR, postal_code VARCHAR, country VARCHAR, membership_status VARCHAR,
  membership_type VARCHAR, birth_date DATE, join_date DATE, end_date DATE, monthly_fee DECIMAL(10,2),
  marketing_opt_in TINYINT, notes VARCHAR, created_at TIMESTAMP, updated_at TIMESTAMPTZ
);
CREATE OR REPLACE TABLE contacts (
  contact_id VARCHAR, member_id BIGINT, preferred_email VARCHAR, preferred_phone VARCHAR, country VARCHAR,
  time_zone VARCHAR, preferences VARCHAR, tags VARCHAR, last_contacted_at TIMESTAMPTZ, updated_at TIMESTAMPTZ
);
CREATE OR REPLACE TABLE payments (
  payment_id VARCHAR, member_id BIGINT, amount DECIMAL(12,2), currency VARCHAR, method VARCHAR, status VARCHAR,
  paid_at TIMESTAMPTZ, updated_at TIMESTAMPTZ
);
CREATE OR REPLACE TABLE corrections (
  member_id BIGINT, address_line1 VARCHAR, city VARCHAR, region VARCHAR, postal_code VARCHAR, country VARCHAR,
  corrected_at TIMESTAMPTZ
);
