"""MinIO: the object in a bucket."""

import boto3

from .aws import keys
from .given import token
from .values import BUCKET, MINIO


def sdk():
    """boto3 finds server and credential."""
    return _listed(boto3.client("s3"))


def by_hand():
    """boto3, told everything."""
    asks = {"RoleArn": "arn:minio:iam:::role/by-hand", "RoleSessionName": "by-hand", "WebIdentityToken": token()}
    at = {"endpoint_url": MINIO, "region_name": "us-east-1"}
    got = boto3.client("sts", **at).assume_role_with_web_identity(**asks)["Credentials"]
    return _listed(boto3.client("s3", **at, **keys(got)))


def _listed(client):
    return client.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"]
