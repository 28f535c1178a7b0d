-- One setting, by name.
SELECT value
FROM settings
WHERE name = %(name)s
