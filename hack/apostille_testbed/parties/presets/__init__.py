"""Services that let workloads in by rules of their own: Anthropic, OpenAI, Kernel; each by its documents."""
