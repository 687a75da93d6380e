"""The bonded worker: follows a task, rolls out, proves, trains, submits."""
