# The alarms and the dashboard are those of the SAM templates: the same file, as a stack of its own. So no threshold is
# written twice.
resource "aws_cloudformation_stack" "monitoring" {
  count         = var.monitoring == null ? 0 : 1
  name          = "${var.service_name}-monitoring"
  template_body = file("${path.module}/../monitoring.yaml")
  tags          = local.tags

  parameters = {
    ServiceName         = var.service_name
    MetricsNamespace    = var.metrics_namespace
    FunctionName        = aws_lambda_function.authorizer.function_name
    LogGroupName        = aws_cloudwatch_log_group.authorizer.name
    ApiKind             = var.monitoring.api_kind
    ApiDimension        = var.monitoring.api_dimension
    StageName           = var.monitoring.stage_name
    AlarmTopicArn       = var.monitoring.alarm_topic_arn
    DenialPercent       = var.monitoring.denial_percent
    LatencyMicroseconds = var.monitoring.latency_microseconds
  }
}
