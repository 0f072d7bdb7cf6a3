"""What the players in Python share."""

import json
import re
import sys


def play(ask):
    """Plays the story of the arguments. `ask` takes endpoint, operation and input; it answers (output, error)."""
    endpoint, story, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with open(story, encoding="utf-8") as file:
        steps = json.load(file)
    for step in steps:
        operation = step["operation"]
        output, error = ask(endpoint, operation, filled(step["input"], values))
        line = {"operation": operation, "error": error} if error else {"operation": operation, "output": output}
        print(json.dumps(line, default=str), flush=True)
        for name, member in step.get("keep", {}).items():
            values[name] = (output or {}).get(member, f"nothing-kept-as-{name}")


def filled(value, values):
    if isinstance(value, str):
        return re.sub(r"\$([a-z]+)", lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [filled(element, values) for element in value]
    if isinstance(value, dict):
        return {name: filled(element, values) for name, element in value.items()}
    return value


def snake(name, separator):
    """`IsAuthorized` as `is_authorized` or `is-authorized`."""
    return re.sub(r"(?<!^)(?=[A-Z])", separator, name).lower()
