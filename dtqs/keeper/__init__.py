"""The keeper: a child process that relays due tasks, reclaims leases of dead workers, repairs the queue and prunes."""
