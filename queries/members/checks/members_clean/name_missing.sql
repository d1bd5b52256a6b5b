SELECT member_id, 'no name' AS reason FROM members_clean WHERE first_name IS NULL AND last_name IS NULL
