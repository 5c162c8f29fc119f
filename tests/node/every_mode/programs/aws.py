"""AWS: who one is at STS."""

import os
import shlex
import subprocess

import boto3
from botocore.config import Config

from .ended import ended
from .given import file, token
from .values import ROLE

ONCE = Config(retries={"total_max_attempts": 1})


def sdk():
    """boto3 finds its credential in every mode."""
    return boto3.Session().client("sts", config=ONCE).get_caller_identity()["Arn"]


def go():
    """So does the SDK for Go."""
    return _printed("AWS_CALLER_GO")


def node():
    """And the one for JavaScript."""
    return _printed("AWS_CALLER_NODE")


def by_hand():
    """boto3, told everything."""
    asks = {"RoleArn": ROLE, "RoleSessionName": "by-hand", "WebIdentityToken": token()}
    got = boto3.client("sts", region_name="eu-west-1").assume_role_with_web_identity(**asks)["Credentials"]
    return boto3.client("sts", region_name="eu-west-1", **keys(got)).get_caller_identity()["Arn"]


def keys(got):
    """The arguments of a client from what STS gave."""
    names = {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey", "session_token": "SessionToken"}
    return {f"aws_{name}": got[key] for name, key in names.items()}


def gone():
    """Whether there is nothing more to be had."""
    return ended(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))


def _printed(program):
    done = subprocess.run(shlex.split(os.environ[program]), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()
