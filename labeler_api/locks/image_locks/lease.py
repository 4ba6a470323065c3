"""How long a lock on an image lives, and what says that it has expired.

A person holds an image until `expires_at`. Opening it, and each sign of life (`heartbeat`), sets that time
LEASE_SECONDS ahead; a write on an image that nobody holds takes it for WRITE_LEASE_SECONDS. Nothing removes a lock that
has expired: every statement asks LIVE, so the clock of the database decides, whatever the clocks of the processes say.
"""

LEASE_SECONDS = 300  # contract#image-locks: the frontend sends a heartbeat every 120 s
# Short, because nobody will release it: the frontend sends release and acquire side by side after every save, and the
# release may land last.
WRITE_LEASE_SECONDS = 60

LIVE = "expires_at > clock_timestamp()"
"""Whether a row of image_locks has not expired, in SQL."""
