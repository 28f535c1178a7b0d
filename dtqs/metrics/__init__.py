"""/metrics: readings as metric families, in the text format of Prometheus or OpenMetrics."""
