"""The bonded judge: checks works, attests, aggregates, settles; and the service that shows why."""
