"""The gRPC service that alone reads the User DB: who a user is, and whether a password is theirs."""
