SELECT member_id, 'monthly fee is ' || monthly_fee AS reason FROM members_clean WHERE monthly_fee < 0
