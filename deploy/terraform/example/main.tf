# An HTTP API with cedar-authorizer in front of a backend of yours.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

variable "user_pool_arn" {
  description = "ARN of the Cognito user pool whose tokens are accepted."
  type        = string
}

variable "user_pool_client_ids" {
  description = "App client ids."
  type        = list(string)
}

variable "backend_url" {
  description = "Where allowed calls go, such as https://pets.example.com."
  type        = string
}

locals {
  name = "petstore"
}

module "authorizer" {
  source               = "../"
  service_name         = local.name
  package              = "${path.module}/../../../target/lambda/cedar-authorizer-lambda/bootstrap.zip"
  user_pool_arn        = var.user_pool_arn
  user_pool_client_ids = var.user_pool_client_ids
  bundle_key           = "petstore.bundle"
  bundle_name          = "petstore"
  # Goes with the identity source and the TTL below.
  cache_key = "token"
  monitoring = {
    api_kind      = "http"
    api_dimension = aws_apigatewayv2_api.petstore.id
    stage_name    = "$default"
  }
}

resource "aws_apigatewayv2_api" "petstore" {
  name          = local.name
  protocol_type = "HTTP"
  tags          = { application = local.name }
}

resource "aws_apigatewayv2_authorizer" "cedar" {
  api_id           = aws_apigatewayv2_api.petstore.id
  name             = "CedarAuthorizer"
  authorizer_type  = "REQUEST"
  authorizer_uri   = module.authorizer.invoke_uri
  identity_sources = ["$request.header.Authorization"]
  # IAM answers: one kept answer is right for all routes. So long a change of policy or a revoked token may take.
  authorizer_payload_format_version = "2.0"
  enable_simple_responses           = false
  authorizer_result_ttl_in_seconds  = 300
}

# Only this API's authorizers: without source_arn any API of any account could invoke the function.
resource "aws_lambda_permission" "authorizer" {
  function_name = module.authorizer.function_name
  qualifier     = module.authorizer.alias
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.petstore.execution_arn}/authorizers/*"
}

resource "aws_apigatewayv2_integration" "backend" {
  for_each           = toset(["GET /", "GET /pets", "POST /pets", "GET /pets/{petId}"])
  api_id             = aws_apigatewayv2_api.petstore.id
  integration_type   = "HTTP_PROXY"
  integration_method = split(" ", each.key)[0]
  integration_uri    = "${var.backend_url}${split(" ", each.key)[1]}"
}

resource "aws_apigatewayv2_route" "backend" {
  for_each           = aws_apigatewayv2_integration.backend
  api_id             = aws_apigatewayv2_api.petstore.id
  route_key          = each.key
  target             = "integrations/${each.value.id}"
  authorization_type = "CUSTOM"
  authorizer_id      = aws_apigatewayv2_authorizer.cedar.id
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.petstore.id
  name        = "$default"
  auto_deploy = true
  tags        = { application = local.name }
}

output "api_url" {
  value = aws_apigatewayv2_stage.default.invoke_url
}

output "publish_command" {
  description = "Puts a bundle into force. Until the first one is there, every call is answered 500."
  value       = "cedar-authorizer publish --to ${module.authorizer.bundle_uri}"
}
