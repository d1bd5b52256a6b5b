-- A word with a capital first letter. Words of letters only: 4B and 2ND stay to the caller.
CREATE OR REPLACE MACRO title_word(word) AS upper(word[1]) || lower(word[2:]);

-- Title case where all is in capitals: `12 HIGH STREET` → `12 High Street`; anything else is left as written.
CREATE OR REPLACE MACRO title_if_upper(raw) AS CASE
  WHEN raw = upper(raw) AND raw <> lower(raw) AND length(raw) > 3
  THEN array_to_string(list_transform(string_split(raw, ' '),
    lambda word: CASE WHEN regexp_matches(word, '^[0-9].*') AND NOT regexp_full_match(word, '[0-9]+(ST|ND|RD|TH)') THEN word
      WHEN word IN ('NW', 'NE', 'SW', 'SE', 'PO') THEN word
      WHEN regexp_matches(word, '^[0-9]') THEN lower(word)
      ELSE array_to_string(list_transform(string_split(word, '-'), lambda part: title_word(part)), '-') END), ' ')
  ELSE raw
END;

-- `12 Main St.` → `12 Main Street`.
CREATE OR REPLACE MACRO street_written(street) AS
  regexp_replace(street, '(\S\s)St\.?($|,|\s[NS][EW]?$|\s[EW]$)', '\1Street\2');

-- Usual abbreviations written out, for countries that write English addresses: `12 Main St.` → `12 Main Street`.
CREATE OR REPLACE MACRO street_standard(street, country) AS CASE
  WHEN upper(country) NOT IN ('US', 'CA', 'GB', 'IE', 'AU', 'NZ') THEN
    CASE WHEN upper(country) IN ('DE', 'AT', 'CH') THEN regexp_replace(street, '([sS])tr\.($|\s)', '\1traße\2') ELSE street END
  -- One look for all of them: most streets have none, or the first alone.
  WHEN NOT regexp_matches(street, '\S\s(?:St|Ave|Rd|Blvd|Dr|Ln)\.?(?:$|,|\s)') THEN street
  WHEN NOT regexp_matches(street, '\S\s(?:Ave|Rd|Blvd|Dr|Ln)\.?(?:$|,|\s)') THEN street_written(street)
  ELSE regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(street_written(street),
    '(\S\s)Ave\.?($|,|\s)', '\1Avenue\2'),
    '(\S\s)Rd\.?($|,|\s)', '\1Road\2'),
    '(\S\s)Blvd\.?($|,|\s)', '\1Boulevard\2'),
    '(\S\s)Dr\.?($|,|\s[NSEW]{1,2}$)', '\1Drive\2'),
    '(\S\s)Ln\.?($|,|\s)', '\1Lane\2')
END;

-- The lambdas give the steps a name: a macro's argument is pasted in, and worked out, as often as it is mentioned.
CREATE OR REPLACE MACRO address_line(raw, country) AS list_transform(
  list_transform([tidy(raw)], lambda line: title_if_upper(line)),
  lambda line: street_standard(line, country))[1];

CREATE OR REPLACE MACRO address_city(raw) AS title_if_upper(tidy(raw));

-- Capitals, single spaces; the gap that British, Canadian and Dutch codes have is put back where it was left out.
CREATE OR REPLACE MACRO postal_clean(raw, country) AS CASE upper(country)
  WHEN 'GB' THEN regexp_replace(replace(upper(tidy(raw)), ' ', ''), '^([A-Z]{1,2}\d[A-Z\d]?)(\d[A-Z]{2})$', '\1 \2')
  WHEN 'CA' THEN regexp_replace(replace(upper(tidy(raw)), ' ', ''), '^([A-Z]\d[A-Z])(\d[A-Z]\d)$', '\1 \2')
  WHEN 'NL' THEN regexp_replace(replace(upper(tidy(raw)), ' ', ''), '^(\d{4})([A-Z]{2})$', '\1 \2')
  ELSE upper(tidy(raw))
END;
