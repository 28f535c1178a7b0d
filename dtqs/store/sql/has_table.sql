-- `dtqs migrate`: whether the database has a table of that name.
SELECT to_regclass(%(table)s) IS NOT NULL
