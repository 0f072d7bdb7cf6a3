"""Plays a story with boto3."""

import boto3
from botocore.exceptions import ClientError

from play import play, snake


def ask(endpoint, operation, given):
    client = boto3.client("verifiedpermissions", endpoint_url=endpoint)
    try:
        output = getattr(client, snake(operation, "_"))(**given)
    except ClientError as error:
        name = error.response["Error"]["Code"]
        # Errors of the API are classes of the client.
        assert type(error) is getattr(client.exceptions, name), name
        return None, name
    output.pop("ResponseMetadata")
    return output, None


play(ask)
