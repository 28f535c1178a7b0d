-- The database refuses an older `dtqs migrate` that would set its version back.
-- compatible: 3
-- locks: settings

CREATE FUNCTION keep_schema_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'schema_version' AND NEW.value::int < OLD.value::int THEN
        RAISE EXCEPTION 'the schema of this database has version %, and this dtqs migrate would set it back to %: update DTQS on this host',
            OLD.value, NEW.value;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_schema_version BEFORE UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION keep_schema_version();
