"""Plays a story with the AWS CLI, one process for each request."""

import json
import os
import re
import subprocess
import sys

from play import play, snake


def ask(endpoint, operation, given):
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    command = [aws, "verifiedpermissions", snake(operation, "-"), "--endpoint-url", endpoint, "--output", "json"]
    ended = subprocess.run(command + ["--cli-input-json", json.dumps(given)], capture_output=True, text=True)
    if ended.returncode == 0:
        return json.loads(ended.stdout or "{}"), None
    error = re.search(r"An error occurred \((\w+)\)", ended.stderr)
    assert error, ended.stderr
    return None, error[1]


play(ask)
