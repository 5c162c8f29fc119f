"""HashiCorp Cloud Platform: workload identity providers of service principals (cloud-trust §9)."""
