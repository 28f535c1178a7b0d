-- The doctor: the statements that it prepared and that a pooler keeps in this session.
SELECT name FROM pg_prepared_statements WHERE starts_with(name, 'dtqs_doctor_')
