"""The worker: delivers the outbox on a database lease. Serves no port."""
