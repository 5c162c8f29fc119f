"""The controller: from what is declared to cluster objects, statuses and running pods. One active at a time."""
