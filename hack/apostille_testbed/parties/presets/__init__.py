"""Services that let workloads in by rules of their own: Anthropic, OpenAI, Kernel; each by its documents."""

from apostille_testbed.parties.stands import Stands

STANDS = Stands("OAuth", "strict judges of Anthropic's, OpenAI's and Kernel's rules", cluster="")
