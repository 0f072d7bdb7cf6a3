output "bundle_bucket" {
  description = "Bucket of the bundle."
  value       = aws_s3_bucket.bundle.id
}

output "bundle_uri" {
  description = "Where the function looks for its bundle, and where to publish it."
  value       = "s3://${aws_s3_bucket.bundle.id}/${var.bundle_key}"
}

output "function_name" {
  description = "Name of the function. A permission for API Gateway names it, with the alias if there is one."
  value       = aws_lambda_function.authorizer.function_name
}

output "alias" {
  description = "Name of the alias. Null without provisioned concurrency."
  value       = var.provisioned_concurrency > 0 ? aws_lambda_alias.live[0].name : null
}

output "function_arn" {
  description = "ARN of the function, or of its alias."
  value       = local.handler_arn
}

output "invoke_uri" {
  description = "What an authorizer names."
  value       = "arn:${data.aws_partition.current.partition}:apigateway:${data.aws_region.current.region}:lambda:path/2015-03-31/functions/${local.handler_arn}/invocations"
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.authorizer.name
}

output "publisher_policy_arn" {
  description = "Policy for whoever publishes."
  value       = aws_iam_policy.publisher.arn
}

output "publisher_role_arn" {
  description = "Role of the CI system that publishes. Null without publisher_oidc_provider_arn."
  value       = one(aws_iam_role.publisher[*].arn)
}
