"""The one service that reads the User DB, over gRPC: who a user is, and whether a password is theirs."""
