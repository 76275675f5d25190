"""conversations: what a client of the NATS protocol may say, and what it must hear. The facts come from the public
protocol description and from watching nats-server, which plays every one of them as the reference."""
