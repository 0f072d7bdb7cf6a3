# cedar-authorizer, without an API: the function and its log, and the bucket for its bundle.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  tags          = merge({ application = var.service_name }, var.tags)
  function_name = "${var.service_name}-authorizer"
  # The alias, if there is one.
  handler_arn = var.provisioned_concurrency > 0 ? aws_lambda_alias.live[0].arn : aws_lambda_function.authorizer.arn
  # The parts that are left out would be empty texts, which the function refuses.
  optional_variables = {
    BUNDLE_PUBLIC_KEYS  = join(",", var.bundle_public_keys)
    DECISION_LOG_CLAIMS = join(",", var.decision_log_claims)
    PRINCIPAL_IDS_KEY   = var.principal_ids == "hashed" ? var.principal_ids_key : ""
  }
}

# ---- The bundle

resource "aws_s3_bucket" "bundle" {
  bucket_prefix = "${substr(lower(replace(var.service_name, "_", "-")), 0, 30)}-"
  tags          = local.tags

  # Kept, since what was in force is what an audit asks for. Take this out to destroy it.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "bundle" {
  bucket = aws_s3_bucket.bundle.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "bundle" {
  bucket = aws_s3_bucket.bundle.id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "bundle" {
  bucket                  = aws_s3_bucket.bundle.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "bundle" {
  bucket = aws_s3_bucket.bundle.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "bundle" {
  bucket = aws_s3_bucket.bundle.id
  rule {
    # The last ten stay whatever their age: what was in force is what an audit asks for.
    id     = "OldBundles"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days           = 90
      newer_noncurrent_versions = 10
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "bundle" {
  bucket = aws_s3_bucket.bundle.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.bundle.arn, "${aws_s3_bucket.bundle.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# ---- The function

resource "aws_cloudwatch_log_group" "authorizer" {
  name              = "/aws/lambda/${local.function_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}

resource "aws_lambda_function" "authorizer" {
  function_name    = local.function_name
  description      = "Verifies a JWT and evaluates Cedar policies for API Gateway."
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  # An HTTP API stops waiting for its authorizer after 10 s. End before, so that the log says why.
  timeout     = 9
  role        = aws_iam_role.authorizer.arn
  kms_key_arn = var.kms_key_arn
  publish     = var.provisioned_concurrency > 0
  tags        = local.tags

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.authorizer.name
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) > 0 ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  environment {
    variables = merge({
      BUNDLE_URI = "s3://${aws_s3_bucket.bundle.id}/${var.bundle_key}"
      # A bundle of another store is refused, though signed with the same key.
      BUNDLE_NAME = var.bundle_name
      CACHE_KEY   = var.cache_key
      # A bundle for another pool, such as that of a test environment, is refused.
      USER_POOL_ARN                = var.user_pool_arn
      USER_POOL_CLIENT_IDS         = join(",", var.user_pool_client_ids)
      DECISION_LOG                 = var.decision_log
      DECISION_LOG_FORMAT          = var.decision_log_format
      DECISION_LOG_SAMPLE_RATE     = tostring(var.decision_log_sample_rate)
      DECISION_LOG_REQUESTS        = tostring(var.decision_log_requests)
      PRINCIPAL_IDS                = var.principal_ids
      POWERTOOLS_SERVICE_NAME      = var.service_name
      POWERTOOLS_METRICS_NAMESPACE = var.metrics_namespace
    }, { for name, value in local.optional_variables : name => value if value != "" })
  }

  # Lambda would make a log group of its own, and try to join a VPC without leave.
  depends_on = [aws_iam_role_policy.authorizer]
}

resource "aws_lambda_alias" "live" {
  count            = var.provisioned_concurrency > 0 ? 1 : 0
  name             = "live"
  function_name    = aws_lambda_function.authorizer.function_name
  function_version = aws_lambda_function.authorizer.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count                             = var.provisioned_concurrency > 0 ? 1 : 0
  function_name                     = aws_lambda_function.authorizer.function_name
  qualifier                         = aws_lambda_alias.live[0].name
  provisioned_concurrent_executions = var.provisioned_concurrency
}
