"""`python -m labeler_api`: read the settings, then serve until SIGTERM.

Processes that the API starts import this file too, as `__mp_main__`: it is empty for them.
"""

if __name__ == "__main__":
    from labeler_api.process.serving import main

    main()
