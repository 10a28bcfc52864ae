"""An inspector of tables as MySQL would show them, for tests without MySQL."""

from sqlalchemy import inspect


class MySQLInspector:
    """An inspector of which one table has the collation of MySQL's tables of today, and the others another one."""

    def __init__(self, connection):
        self._inspector = inspect(connection)

    def __getattr__(self, name):
        return getattr(self._inspector, name)

    def get_table_options(self, name):
        return {'mysql_collate': 'utf8mb4_0900_bin' if name == 'cron_ticks' else 'latin1_swedish_ci'}
