"""The file formats that annotations can be imported from, told apart by what is in them and never by their name."""
