-- `dtqs migrate`: commands that set up the sessions of its role in its database. A SET would leak through PgBouncer.
SELECT format('ALTER ROLE %%I IN DATABASE %%I SET %%I = %%L', current_user, current_database(), name, value)
FROM {wanted}
