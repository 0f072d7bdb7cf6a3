# Roles and policies, each with what it needs and no more.

locals {
  bundle_arn = "${aws_s3_bucket.bundle.arn}/${var.bundle_key}"
  issuer     = var.publisher_oidc_provider_arn == null ? "" : split(":oidc-provider/", var.publisher_oidc_provider_arn)[1]
}

resource "aws_iam_role" "authorizer" {
  name_prefix = "${substr(var.service_name, 0, 26)}-authorizer-"
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# By hand, since AWSLambdaBasicExecutionRole may write to every log group of the account.
resource "aws_iam_role_policy" "authorizer" {
  name = "Authorizer"
  role = aws_iam_role.authorizer.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        # No s3:ListBucket: nobody but tenants needs to know a missing bundle from a forbidden one.
        {
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:GetObjectVersion"]
          Resource = local.bundle_arn
        },
        {
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.authorizer.arn}:*"
        },
      ],
      var.kms_key_arn == null ? [] : [
        {
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = var.kms_key_arn
        },
      ],
      length(var.subnet_ids) == 0 ? [] : [
        # Lambda makes the network interfaces with the function's role. EC2 knows no narrower resource for all of these.
        {
          Effect = "Allow"
          Action = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
          ]
          Resource = "*"
        },
      ],
      length(var.subnet_ids) == 0 ? [] : [
        # Only Lambda itself: calls of the function's code have a source.
        {
          Effect    = "Deny"
          Action    = "ec2:*"
          Resource  = "*"
          Condition = { Null = { "lambda:SourceFunctionArn" = "false" } }
        },
      ],
    )
  })
}

# ---- Who publishes

# Attach it to whoever runs `cedar-authorizer publish`.
resource "aws_iam_policy" "publisher" {
  name_prefix = "${substr(var.service_name, 0, 26)}-publisher-"
  description = "Publishes bundles for ${var.service_name}."
  tags        = local.tags
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        # `publish` reads what is there, and writes it and its history (KEY.1, KEY.2, ...). It deletes nothing but the
        # parts of an upload that failed.
        {
          Effect   = "Allow"
          Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
          Resource = [local.bundle_arn, "${local.bundle_arn}.*"]
        },
        # For the history, and so that S3 says 404 where nothing is. A condition on the prefix would take the 404 away.
        {
          Effect   = "Allow"
          Action   = "s3:ListBucket"
          Resource = aws_s3_bucket.bundle.arn
        },
      ],
      var.kms_key_arn == null ? [] : [
        {
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource  = var.kms_key_arn
          Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.region}.${data.aws_partition.current.dns_suffix}" } }
        },
      ],
      var.signing_key_secret_arn == null ? [] : [
        {
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = var.signing_key_secret_arn
        },
      ],
    )
  })
}

resource "aws_iam_role" "publisher" {
  count       = var.publisher_oidc_provider_arn == null ? 0 : 1
  name_prefix = "${substr(var.service_name, 0, 26)}-publisher-"
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.publisher_oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.${data.aws_partition.current.dns_suffix}"
          "${local.issuer}:sub" = var.publisher_subject
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "publisher" {
  count      = var.publisher_oidc_provider_arn == null ? 0 : 1
  role       = aws_iam_role.publisher[0].name
  policy_arn = aws_iam_policy.publisher.arn
}
