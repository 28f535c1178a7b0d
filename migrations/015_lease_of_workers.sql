-- Workers name their lease time, so a keeper with a shorter one does not judge them by its own.
-- compatible: 3
-- locks: workers

ALTER TABLE workers ADD COLUMN lease_seconds double precision;
