"""When a task is due: schedules and their fields, without Pyramid and without a clock of their own."""
