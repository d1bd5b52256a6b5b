SELECT member_id, CASE
    WHEN join_date IS NULL THEN 'no join date'
    WHEN end_date < join_date THEN 'ends ' || end_date || ', before joining on ' || join_date
    ELSE 'joins in the future: ' || join_date END AS reason
FROM members_clean
WHERE join_date IS NULL OR end_date < join_date
  OR join_date > (coalesce(getvariable('run_at')::TIMESTAMPTZ, now()) AT TIME ZONE 'UTC')::DATE + 1
