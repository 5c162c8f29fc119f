"""What everything else speaks: names, findings, conditions, subjects, the issuer. No I/O, no Kubernetes client."""
