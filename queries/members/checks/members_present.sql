-- An empty table is a broken source, not an association without members.
SELECT if(count(*) = 0, 'stop', 'pass') AS level, if(count(*) = 0, 'there is no member at all', count(*) || ' members') AS message
FROM members_enriched
