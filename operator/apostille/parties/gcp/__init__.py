"""Google Cloud: workload identity pools and providers, IAM members, the Security Token Service (cloud-trust §4)."""
