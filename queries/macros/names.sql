-- Names of people.

-- A name in the usual letters where it was written in capitals or small letters only: O'Brien, Mary-Jane; others as they are.
CREATE OR REPLACE MACRO name_proper(raw) AS CASE
  WHEN tidy(raw) IN (upper(tidy(raw)), lower(tidy(raw))) THEN array_to_string(
    list_transform(regexp_extract_all(lower(tidy(raw)), '[^ ''’-]+|[ ''’-]'), lambda w: upper(w[1]) || w[2:]), '')
  ELSE tidy(raw)
END;
