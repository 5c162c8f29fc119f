"""Databricks: who one is in the workspace."""

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from .given import TOKEN, file
from .values import APPLICATION, DATABRICKS

FILE = "DATABRICKS_TOKEN_FILE"


def sdk(**settings):
    """databricks-sdk finds its credential."""
    return WorkspaceClient(**settings).current_user.me().user_name


def from_file():
    """databricks-sdk with the sidecar's access token."""
    return sdk(token=file(FILE))


def by_hand():
    """databricks-sdk, told everything."""
    settings = {"host": DATABRICKS, "client_id": APPLICATION, "auth_type": "file-oidc", "oidc_token_filepath": TOKEN}
    return sdk(config=Config(**settings))
