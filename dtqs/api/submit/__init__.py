"""From a request body to accepted tasks: validation, limits, group commit, hints."""
