"""How long a lock on an image lives, and when it has expired.

A person holds an image until `expires_at`. Opening it, and each `heartbeat`, sets that time LEASE_SECONDS ahead. A
write on an image that nobody holds takes it for WRITE_LEASE_SECONDS.

An expired lock has no effect. Its row stays at least an hour, until a later claim in the project removes it. So
whoever reads a lock compares `expires_at` with the clock of the database. Statements of the API use LIVE. The functions
claim_image_1, claim_image_2 and claim_images_1 make the same comparison themselves, for acquiring and for every save.
"""

LEASE_SECONDS = 300  # contract#image-locks: the frontend sends a heartbeat every 120 s
# Short, because nobody will release it: the frontend sends release and acquire side by side after every save, and the
# release may land last.
WRITE_LEASE_SECONDS = 60

LIVE = "expires_at > clock_timestamp()"
"""Whether a row of image_locks has not expired, in SQL."""
