"""The command line `triovit`, one file per command."""
