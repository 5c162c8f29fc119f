"""Google Cloud: the object in a bucket."""

import google.auth
from google.auth import identity_pool
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials

from .given import TOKEN, file
from .values import BUCKET, EMAIL, NUMBER, POOL, PROVIDER

FILE = "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def sdk():
    """google-auth finds its credential."""
    return _listed(google.auth.default(scopes=_SCOPES)[0])


def from_file():
    """google-auth with the sidecar's access token, read as gcloud reads it."""
    return _listed(Credentials(file(FILE)))


def by_hand():
    """google-auth, told everything."""
    provider = f"projects/{NUMBER}/locations/global/workloadIdentityPools/{POOL}/providers/{PROVIDER}"
    impersonation = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
    return _listed(
        identity_pool.Credentials(
            audience=f"//iam.googleapis.com/{provider}",
            subject_token_type="urn:ietf:params:oauth:token-type:jwt",
            token_url="https://sts.googleapis.com/v1/token",
            credential_source={"file": TOKEN},
            scopes=_SCOPES,
            service_account_impersonation_url=f"{impersonation}/{EMAIL}:generateAccessToken",
        )
    )


def _listed(credentials):
    reply = AuthorizedSession(credentials).get(f"https://storage.googleapis.com/storage/v1/b/{BUCKET}/o")
    reply.raise_for_status()
    return reply.json()["items"][0]["name"]
