"""The application that the fault runs execute."""
