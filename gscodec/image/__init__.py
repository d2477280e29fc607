"""Picture files into memory and decoded pictures out to files."""
