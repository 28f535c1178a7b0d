-- Anybody: one setting.
SELECT value FROM settings WHERE name = %(name)s
