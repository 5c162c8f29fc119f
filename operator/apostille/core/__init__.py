"""The pure core: what should be, as a function of what is declared. No I/O; only ``phase`` sees the time."""
