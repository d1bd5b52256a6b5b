-- phone_e164(raw, country): a telephone number as +<calling code><number>, or NULL where it cannot be one.
-- `country` is ISO 3166-1 alpha-2 in any case; it may be NULL for numbers with their calling code.

-- Calling code, and the digits written before a national number only, by country.
CREATE OR REPLACE MACRO phone_country(country) AS MAP {
  'US': {code: '1', trunk: '1'}, 'CA': {code: '1', trunk: '1'}, 'GB': {code: '44', trunk: '0'},
  'IE': {code: '353', trunk: '0'}, 'DE': {code: '49', trunk: '0'}, 'AT': {code: '43', trunk: '0'},
  'CH': {code: '41', trunk: '0'}, 'FR': {code: '33', trunk: '0'}, 'BE': {code: '32', trunk: '0'},
  'NL': {code: '31', trunk: '0'}, 'LU': {code: '352', trunk: '~'}, 'IT': {code: '39', trunk: '~'},
  'ES': {code: '34', trunk: '~'}, 'PT': {code: '351', trunk: '~'}, 'SE': {code: '46', trunk: '0'},
  'NO': {code: '47', trunk: '~'}, 'DK': {code: '45', trunk: '~'}, 'FI': {code: '358', trunk: '0'},
  'PL': {code: '48', trunk: '~'}, 'CZ': {code: '420', trunk: '~'}, 'GR': {code: '30', trunk: '~'},
  'TR': {code: '90', trunk: '0'}, 'UA': {code: '380', trunk: '0'}, 'EG': {code: '20', trunk: '0'},
  'IN': {code: '91', trunk: '0'}, 'JP': {code: '81', trunk: '0'}, 'KR': {code: '82', trunk: '0'},
  'BR': {code: '55', trunk: '0'}, 'MX': {code: '52', trunk: '~'}, 'AU': {code: '61', trunk: '0'},
  'NZ': {code: '64', trunk: '0'}, 'ZA': {code: '27', trunk: '0'}
}[upper(trim(country))];

-- Without extension, label and white space at the ends: `Tel: 020 7946 0123 ext. 12` → `020 7946 0123`.
CREATE OR REPLACE MACRO phone_bare(raw) AS regexp_replace(regexp_replace(regexp_replace(
    translate(raw, chr(160) || '‐‑‒–—', ' -----'),
    '(?i)[\s,;]*(?:ext(?:ension|n)?\.?|x|#)\s*[:=]?\s*\d{1,6}\s*$', ''),
  '(?i)^\s*(?:tel|telephone|phone|mobile|mob|cell)\s*[.:]+\s*', ''),
  '(?i)\s*(?:\((?:mobile|home|work|cell)\))?\s*$', '');

-- Digits with + in front where the calling code is part of them. (0) after a calling code goes.
CREATE OR REPLACE MACRO phone_digits(bare) AS CASE
  WHEN NOT regexp_full_match(bare, '\s*\(?\+?[0-9][0-9\s().\-/]*') AND NOT regexp_full_match(bare, '\([0-9][0-9\s().\-/]*')
    THEN NULL
  WHEN regexp_matches(bare, '^\s*\(?(?:\+|00)')
    THEN '+' || regexp_replace(regexp_replace(replace(bare, '(0)', ''), '[^0-9]', '', 'g'), '^00', '')
  ELSE regexp_replace(bare, '[^0-9]', '', 'g')
END;

-- A trunk zero left after the calling code, as in +44 020 …, goes. Italy's zero is part of the number.
CREATE OR REPLACE MACRO phone_international(digits, rule) AS regexp_replace(
  CASE
    WHEN digits LIKE '+%' THEN digits
    WHEN rule.code = '1' AND digits LIKE '011%' THEN '+' || digits[4:]
    WHEN starts_with(digits, rule.trunk) THEN '+' || rule.code || digits[length(rule.trunk) + 1:]
    ELSE '+' || rule.code || digits
  END,
  '^\+(44|353|49|43|41|33|32|31|46|358|90|380|20|91|81|82|55|61|64|27)0', '+\1');

-- Length and first digits by calling code; for a code not listed, the limits of E.164.
CREATE OR REPLACE MACRO phone_possible(number) AS CASE
  WHEN regexp_matches(number, '^\+(1|20|27|30|31|32|33|34|351|352|353|358|380|39|41|420|43|44|45|46|47|48|49|52|55|61|64|81|82|90|91)')
  THEN regexp_full_match(number, '\+(?:1[2-9]\d{2}[2-9]\d{6}|20[1-9]\d{7,9}|27[1-9]\d{8}|30[26]\d{9}|31[1-9]\d{8}'
    || '|32[1-9]\d{7,8}|33[1-9]\d{8}|34[6-9]\d{8}|351[29]\d{8}|352[2-9]\d{5,8}|353[1-9]\d{6,8}|358[1-9]\d{5,10}'
    || '|380[1-9]\d{8}|39(?:3\d{8,9}|0\d{5,10})|41[1-9]\d{8}|420[2-9]\d{8}|43[1-9]\d{6,11}|44[1-9]\d{8,9}|45[2-9]\d{7}'
    || '|46[1-9]\d{6,8}|47[2-9]\d{7}|48[1-9]\d{8}|49[1-9]\d{6,10}|52[1-9]\d{9}|55[1-9]{2}\d{8,9}|61[2-578]\d{8}'
    || '|64[2-9]\d{7,9}|81[1-9]\d{8,9}|82[1-9]\d{7,9}|90[2-5]\d{9}|91[1-9]\d{9})')
  ELSE regexp_full_match(number, '\+[2-9]\d{7,14}')
END;

-- The lambdas give the steps a name: a macro's argument is pasted in as often as it is mentioned.
CREATE OR REPLACE MACRO phone_e164(raw, country) AS list_transform(
  list_transform(
    list_transform([phone_bare(raw)], lambda bare: phone_digits(bare)),
    lambda digits: phone_international(digits, phone_country(country))),
  lambda number: CASE WHEN phone_possible(number) THEN number END)[1];
