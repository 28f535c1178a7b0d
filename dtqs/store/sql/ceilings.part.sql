max_priority, max_pending, max_upload_bytes, max_timeout_seconds, task_types
