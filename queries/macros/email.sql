-- True for an address a mail server could take: one @, no empty part between dots, a top-level domain of letters.
-- Most are ASCII: the same without the letters of other scripts, which take many times as long to tell. A pattern of pieces
-- put together by || would be compiled for each row where the macro is used in a lambda.
CREATE OR REPLACE MACRO email_valid(raw) AS length(raw) <= 254 AND CASE WHEN strlen(raw) = length(raw) THEN regexp_full_match(raw,
  '[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+)*'
  '@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:[A-Za-z]{2,}|xn--[a-zA-Z0-9-]+)')
  ELSE regexp_full_match(raw,
  '[\p{L}\p{N}!#$%&''*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}!#$%&''*+/=?^_`{|}~-]+)*'
  '@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+(?:\p{L}{2,}|xn--[a-zA-Z0-9-]+)') END;

-- The address in small letters without white space around it; NULL where it is not valid even so. Mail servers
-- ignore case in practice, so one mailbox has one spelling in the warehouse.
CREATE OR REPLACE MACRO email_clean(raw) AS CASE WHEN email_valid(lower(tidy(raw))) THEN lower(tidy(raw)) END;
