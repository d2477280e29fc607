"""The command line: one file per command, over the library that everything else may use."""
