"""Compares the CDK construct and the Terraform module with the SAM templates, so that they do not drift.

    python .ci/deployments.py <template that CDK has synthesized>

Needs python-hcl2, and cfn-lint for its reader of YAML.
"""

import json
import re
import sys
from pathlib import Path

import hcl2
from cfnlint.decode import cfn_yaml

DEPLOY = Path(__file__).parent.parent / "deploy"
MODULE = DEPLOY / "terraform"

problems = []


def compare(what, found, expected):
    if found != expected:
        problems.append(f"{what}:\n  found     {found}\n  SAM has   {expected}")


def variants(value):
    """The values that a property may have: both sides of an `If`."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [found for side in value["Fn::If"][1:] for found in variants(side)]
    return [] if value == {"Ref": "AWS::NoValue"} else [value]


def statements(document):
    """The statements of a policy, by effect and actions."""
    for statement in document["Statement"]:
        for variant in variants(statement):
            actions = variant["Action"]
            yield variant["Effect"], tuple(sorted([actions] if isinstance(actions, str) else actions))


def terraform(name):
    return hcl2.loads((MODULE / name).read_text())


def plain(value):
    """A text without the quotes that hcl2 leaves in."""
    return value.strip('"') if isinstance(value, str) else value


def block(module, kind, *path):
    """A block of Terraform by its kind and labels."""
    for found in module[kind]:
        for label in path:
            found = {plain(key): value for key, value in found.items()}.get(label)
            if found is None:
                break
        else:
            return {plain(key): value for key, value in found.items()}
    raise SystemExit(f"there is no {kind} {path}")


def terraform_statements():
    """The statements in the text of iam.tf: they are arguments of `jsonencode`, which hcl2 leaves as text."""
    for effect, actions in re.findall(r'Effect\s*= "(\w+)".*?Action\s*= (\[.*?\]|"[^"]*")', (MODULE / "iam.tf").read_text(), re.S):
        yield effect, tuple(sorted(re.findall(r'"([^"]+)"', actions)))


def main(synthesized):
    template = cfn_yaml.load(str(DEPLOY / "authorizer.yaml"))
    monitoring = cfn_yaml.load(str(DEPLOY / "monitoring.yaml"))
    resources = template["Resources"]
    function = resources["AuthorizerFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    optional = {name for name, value in variables.items() if isinstance(value, dict) and "Fn::If" in value}

    # ---- Terraform
    main_tf = (MODULE / "main.tf").read_text()
    module = terraform("main.tf")
    merged, rest = main_tf.split("variables = merge({", 1)[1].split("},", 1)
    compare("variables in main.tf", set(re.findall(r"^\s*([A-Z_]+)\s*=", merged, re.M)), set(variables) - optional)
    lists = main_tf.split("optional_variables = {", 1)[1].split("}", 1)[0]
    compare("optional variables in main.tf", set(re.findall(r"^\s*([A-Z_]+)\s*=", lists, re.M)), optional)

    made = block(module, "resource", "aws_lambda_function", "authorizer")
    for ours, theirs in [("handler", "Handler"), ("runtime", "Runtime"), ("timeout", "Timeout")]:
        compare(f"{ours} of the function in main.tf", str(plain(made[ours])), str(function[theirs]))

    declared = {plain(name) for entry in terraform("variables.tf")["variable"] for name in entry}
    snake = lambda name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    # `package`, `tags` and `monitoring` have no parameter. Terraform knows by itself when to make a new version, and takes
    # keys and secrets as values or ARNs.
    renamed = {"principal_ids_key_secret": "principal_ids_key", "signing_key_secret": "signing_key_secret_arn"}
    parameters = {renamed.get(snake(name), snake(name)) for name in template["Parameters"]}
    compare("variables.tf", declared - {"package", "tags", "monitoring"}, parameters - {"release"})
    for name, parameter in template["Parameters"].items():
        name = renamed.get(snake(name), snake(name))
        default = parameter.get("Default")
        if name == "release" or default in (None, ""):
            continue
        found = plain(block(terraform("variables.tf"), "variable", name).get("default"))
        compare(f"default of {name} in variables.tf", str(found).lower(), str(default).lower())

    policies = [resources["AuthorizerRole"]["Properties"]["AssumeRolePolicyDocument"]]
    for policy in resources["AuthorizerRole"]["Properties"]["Policies"]:
        policies += [variant["PolicyDocument"] for variant in variants(policy)]
    of_function = sorted(found for policy in policies for found in statements(policy))
    of_publisher = sorted(statements(resources["PublisherPolicy"]["Properties"]["PolicyDocument"]))
    assumed = [("Allow", ("sts:AssumeRoleWithWebIdentity",))]
    compare("statements in iam.tf", sorted(terraform_statements()), sorted(of_function + of_publisher + assumed))

    of_stack = block(terraform("monitoring.tf"), "resource", "aws_cloudformation_stack", "monitoring")
    given = {plain(name) for name in of_stack["parameters"] if not name.startswith("__")}
    compare("parameters in monitoring.tf", given, set(monitoring["Parameters"]))

    # ---- CDK
    with open(synthesized) as file:
        made = json.load(file)["Resources"]
    of_type = lambda kind: [resource["Properties"] for resource in made.values() if resource["Type"] == kind]
    [by_cdk] = [found for found in of_type("AWS::Lambda::Function") if found["Handler"] == "bootstrap"]
    compare("variables by CDK", set(by_cdk["Environment"]["Variables"]), set(variables) - optional)
    for name in ["Handler", "Runtime", "Timeout"]:
        compare(f"{name} by CDK", by_cdk[name], function[name])
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    for name, parameter in [("DECISION_LOG", "DecisionLog"), ("DECISION_LOG_FORMAT", "DecisionLogFormat"),
                            ("DECISION_LOG_SAMPLE_RATE", "DecisionLogSampleRate"), ("DECISION_LOG_REQUESTS", "DecisionLogRequests"),
                            ("PRINCIPAL_IDS", "PrincipalIds"), ("POWERTOOLS_METRICS_NAMESPACE", "MetricsNamespace")]:
        compare(f"{name} by CDK", by_cdk["Environment"]["Variables"][name], defaults[parameter])
    # The example has neither a VPC nor a key of its own.
    least = [found for found in of_function if not any(action.startswith(("ec2:", "kms:", "sts:")) for action in found[1])]
    of_role = [found for policy in of_type("AWS::IAM::Policy") for found in statements(policy["PolicyDocument"])]
    compare("statements of the role by CDK", sorted(of_role), least)
    of_managed = [found for policy in of_type("AWS::IAM::ManagedPolicy") for found in statements(policy["PolicyDocument"])]
    compare("statements of the publisher by CDK", sorted(of_managed), [found for found in of_publisher if found[1][0].startswith("s3:")])
    in_file = [found["Type"] for found in monitoring["Resources"].values()].count("AWS::CloudWatch::Alarm")
    compare("alarms by CDK", len(of_type("AWS::CloudWatch::Alarm")), in_file)

    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


main(*sys.argv[1:])
