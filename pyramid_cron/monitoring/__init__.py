"""Health and metrics of the tasks. Imported only where ``cron.store`` is set."""
