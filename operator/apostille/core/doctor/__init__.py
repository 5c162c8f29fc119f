"""Whether an installation is well: from what was read of it to one line a check, with the fix."""
