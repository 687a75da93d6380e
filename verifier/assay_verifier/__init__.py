"""The bonded judge: checks submissions, attests, aggregates, settles; and the service that shows why."""
