"""The structured log: a JSON object in each line."""

import json
import logging


class JSONFormatter(logging.Formatter):
    """Writes a record, and what it has in ``fields``."""

    def format(self, record):
        line = {'time': self.formatTime(record), 'level': record.levelname, 'logger': record.name}
        line |= {'message': record.getMessage(), **getattr(record, 'fields', {})}
        if record.exc_info:
            line['traceback'] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
