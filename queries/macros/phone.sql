-- phone_e164(raw, country): a telephone number as +<calling code><number>, or NULL where it cannot be one.
-- `country` is ISO 3166-1 alpha-2 in any case; it may be NULL for numbers with their calling code.

-- Calling code by country.
CREATE OR REPLACE MACRO phone_code(country) AS CASE upper(trim(country))
  WHEN 'US' THEN '1' WHEN 'CA' THEN '1' WHEN 'GB' THEN '44' WHEN 'IE' THEN '353'
  WHEN 'DE' THEN '49' WHEN 'AT' THEN '43' WHEN 'CH' THEN '41' WHEN 'FR' THEN '33'
  WHEN 'BE' THEN '32' WHEN 'NL' THEN '31' WHEN 'LU' THEN '352' WHEN 'IT' THEN '39'
  WHEN 'ES' THEN '34' WHEN 'PT' THEN '351' WHEN 'SE' THEN '46' WHEN 'NO' THEN '47'
  WHEN 'DK' THEN '45' WHEN 'FI' THEN '358' WHEN 'PL' THEN '48' WHEN 'CZ' THEN '420'
  WHEN 'GR' THEN '30' WHEN 'TR' THEN '90' WHEN 'UA' THEN '380' WHEN 'EG' THEN '20'
  WHEN 'IN' THEN '91' WHEN 'JP' THEN '81' WHEN 'KR' THEN '82' WHEN 'BR' THEN '55'
  WHEN 'MX' THEN '52' WHEN 'AU' THEN '61' WHEN 'NZ' THEN '64' WHEN 'ZA' THEN '27'
END;

-- Without extension, label and white space at the ends: `Tel: 020 7946 0123 ext. 12` → `020 7946 0123`.
-- Where there is neither a letter nor any odd character, only white space at the end can go.
CREATE OR REPLACE MACRO phone_bare(raw) AS CASE WHEN regexp_full_match(raw, '[0-9+()./ -]*') THEN rtrim(raw, ' ')
  ELSE regexp_replace(regexp_replace(regexp_replace(
    translate(raw, chr(160) || '‐‑‒–—', ' -----'),
    '(?i)[\s,;]*(?:ext(?:ension|n)?\.?|x|#)\s*[:=]?\s*\d{1,6}\s*$', ''),
  '(?i)^\s*(?:tel|telephone|phone|mobile|mob|cell)\s*[.:]+\s*', ''),
  '(?i)\s*(?:\((?:mobile|home|work|cell)\))?\s*$', '') END;

-- Digits with + in front where the calling code is part of them. (0) after a calling code goes.
CREATE OR REPLACE MACRO phone_digits(bare) AS CASE
  WHEN regexp_full_match(bare, '(?:\+|0)?[1-9][0-9]*') THEN bare
  WHEN NOT regexp_full_match(bare, '\s*\(?\+?[0-9][0-9\s().\-/]*') THEN NULL
  WHEN regexp_matches(bare, '^\s*\(?(?:\+|00)')
    THEN '+' || regexp_replace(regexp_replace(replace(bare, '(0)', ''), '[^0-9]+', '', 'g'), '^00', '')
  ELSE regexp_replace(bare, '[^0-9]+', '', 'g')
END;

-- `prefix` is + and the country's calling code. Digits that belong to national notation only, zero or the North
-- American one, go: from 020 … as from +44 020 …. Italy's zero is part of the number.
CREATE OR REPLACE MACRO phone_international(digits, prefix) AS regexp_replace(
  CASE
    WHEN starts_with(digits, '+') THEN digits
    WHEN prefix = '+1' AND starts_with(digits, '011') THEN '+' || digits[4:]
    ELSE prefix || digits
  END,
  '^\+(?:(1)1|(44|353|49|43|41|33|32|31|46|358|90|380|20|91|81|82|55|61|64|27)0)', '+\1\2');

-- Length and first digits by calling code; for a code not listed, the limits of E.164.
CREATE OR REPLACE MACRO phone_possible(number) AS CASE
  WHEN regexp_matches(number, '^\+(1|20|27|30|31|32|33|34|351|352|353|358|380|39|41|420|43|44|45|46|47|48|49|52|55|61|64|81|82|90|91)')
  THEN regexp_full_match(number, '\+(?:1[2-9]\d{2}[2-9]\d{6}|20[1-9]\d{7,9}|27[1-9]\d{8}|30[26]\d{9}|31[1-9]\d{8}'
    '|32[1-9]\d{7,8}|33[1-9]\d{8}|34[6-9]\d{8}|351[29]\d{8}|352[2-9]\d{5,8}|353[1-9]\d{6,8}|358[1-9]\d{5,10}'
    '|380[1-9]\d{8}|39(?:3\d{8,9}|0[1-9]\d{4,9})|41[1-9]\d{8}|420[2-9]\d{8}|43[1-9]\d{6,11}|44[1-9]\d{8,9}|45[2-9]\d{7}'
    '|46[1-9]\d{6,8}|47[2-9]\d{7}|48[1-9]\d{8}|49[1-9]\d{6,10}|52[1-9]\d{9}|55[1-9]{2}\d{8,9}|61[2-578]\d{8}'
    '|64[2-9]\d{7,9}|81[1-9]\d{8,9}|82[1-9]\d{7,9}|90[2-5]\d{9}|91[1-9]\d{9})')
  ELSE regexp_full_match(number, '\+[2-9]\d{7,14}')
END;

-- The lambdas give the steps a name: a macro's argument is pasted in as often as it is mentioned.
CREATE OR REPLACE MACRO phone_e164(raw, country) AS list_transform(
  list_transform(
    list_transform([{bare: phone_bare(raw), prefix: '+' || phone_code(country)}],
      lambda p: {digits: phone_digits(p.bare), prefix: p.prefix}),
    lambda p: phone_international(p.digits, p.prefix)),
  lambda number: CASE WHEN phone_possible(number) THEN number END)[1];
