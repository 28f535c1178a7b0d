"""The keeper: a child process that relays what is due, reclaims what dead workers held, repairs the broker's queue and prunes."""
