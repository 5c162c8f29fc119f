"""The relying parties: one folder each, and the interface they share."""
