"""The two pages that people see in a browser: what runs here, and a contact sheet of the demo."""
