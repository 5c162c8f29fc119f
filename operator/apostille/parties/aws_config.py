"""The shared configuration file of the AWS SDKs, in which every identity has a profile by name.

AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
"""

from __future__ import annotations

from collections.abc import Mapping

from apostille.parties.party import Delivered, Paths, Section

FILE = "aws.config"


def profile(name: str, settings: Mapping[str, str], paths: Paths, files: Mapping[str, str] | None = None) -> Delivered:
    """A profile of the file, and the variables that lead the SDKs to it. Raises ValueError for a value of two lines.

    No variable names an identity: which one is meant, the application says.
    """
    if any(not value.isprintable() for value in settings.values()):
        raise ValueError(f"spec.delivery.profile: a setting of profile {name} is more than one line")
    # The default one alone is written without the word (ibid.).
    header = "[default]" if name == "default" else f"[profile {name}]"
    text = "".join(f"{key} = {value}\n" for key, value in settings.items() if value)
    return Delivered(
        {
            "AWS_CONFIG_FILE": f"{paths.shared}/{FILE}",
            # SDKs for Go of the first generation do not read the file without.
            "AWS_SDK_LOAD_CONFIG": "1",
            # Who names no profile gets nothing, and not the node's identity.
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        files or {},
        section=Section(FILE, name, f"{header}\n{text}", chosen_by=("AWS_PROFILE",)),
    )
