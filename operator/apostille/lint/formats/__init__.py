"""Reports for people and for programs. Each takes a report and gives a text."""
