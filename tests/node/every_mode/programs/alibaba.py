"""Alibaba Cloud: who one is at STS, asked by a request that the vendor's package for credentials signs."""

import requests
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.utils import parameter_helper

from .given import TOKEN
from .values import ALIBABA_ACCOUNT, ALIBABA_REGION, ALIBABA_ROLE, PROVIDER

_STS = f"sts.{ALIBABA_REGION}.aliyuncs.com"


def sdk():
    """The SDK finds its credential."""
    return _who(Client().get_credential())


def by_hand():
    """The SDK, told everything."""
    config = Config(
        type="oidc_role_arn",
        role_arn=ALIBABA_ROLE,
        oidc_provider_arn=f"acs:ram::{ALIBABA_ACCOUNT}:oidc-provider/{PROVIDER}",
        oidc_token_file_path=TOKEN,
        role_session_name="by-hand",
        sts_endpoint=_STS,
    )
    return _who(Client(config).get_credential())


def _who(credential):
    asks = {
        "Action": "GetCallerIdentity",
        "Version": "2015-04-01",
        "Format": "JSON",
        "Timestamp": parameter_helper.get_iso_8061_date(),
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": parameter_helper.get_uuid(),
        "AccessKeyId": credential.access_key_id,
        "SecurityToken": credential.security_token,
    }
    text = parameter_helper.compose_string_to_sign("GET", asks)
    asks["Signature"] = parameter_helper.sign_string(text, f"{credential.access_key_secret}&")
    reply = requests.get(f"https://{_STS}/", asks, timeout=30)
    reply.raise_for_status()
    return reply.json()["Arn"]
