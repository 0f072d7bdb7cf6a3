# deploy/authorizer.yaml has the same settings for CloudFormation. A check of the project compares the two.

variable "service_name" {
  description = "Name in logs, metrics and alarms. Each deployment needs its own."
  type        = string
  validation {
    # The name of the function is longer by `-authorizer`, and has at most 64 characters.
    condition     = can(regex("^[A-Za-z0-9_-]{1,53}$", var.service_name))
    error_message = "It has letters, digits, _ and -, at most 53."
  }
}

variable "package" {
  description = "The function: the zip file that `cargo lambda build --release --output-format zip` makes."
  type        = string
}

variable "user_pool_arn" {
  description = "ARN of the Cognito user pool whose tokens are accepted. A bundle that names another pool is refused."
  type        = string
}

variable "user_pool_client_ids" {
  description = "App client ids. A bundle that accepts any other client of the pool is refused."
  type        = list(string)
}

variable "bundle_key" {
  description = "Key of the bundle in its bucket."
  type        = string
  validation {
    # No `*`, `?` or `$`: the key becomes part of the role's Resource and of BUNDLE_URI, and all three mean something there.
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9/_.-]{0,511}$", var.bundle_key))
    error_message = "It has letters, digits, /, _, . and -."
  }
}

variable "bundle_name" {
  description = "Name of the policy store, `name` in its store.toml. A bundle of another store is refused."
  type        = string
}

variable "bundle_public_keys" {
  description = "Who may sign bundles, as `cedar-authorizer keygen` prints it. Empty lets in unsigned ones."
  type        = list(string)
  default     = []
}

variable "cache_key" {
  description = "What API Gateway keeps answers under, the variable CACHE_KEY. It goes with the identity sources and the TTL."
  type        = string
}

variable "architecture" {
  description = "What the package was built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "memory_size" {
  description = "Memory of the function in MB. Lambda gives CPU in proportion to it."
  type        = number
  default     = 256
}

variable "provisioned_concurrency" {
  description = "Instances that are kept ready. 0 means none, and calls go to the function itself instead of an alias."
  type        = number
  default     = 0
}

variable "subnet_ids" {
  description = "Subnets of a VPC. They must reach S3, and the issuer's keys unless the bundle has them."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the function, if it is in a VPC."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key of your own for bucket, log and variables. Its key policy must allow CloudWatch Logs."
  type        = string
  default     = null
}

variable "decision_log" {
  description = "Which decisions get a line in the log: all, deny or off."
  type        = string
  default     = "all"
}

variable "decision_log_format" {
  description = "Form of the lines: json or ocsf."
  type        = string
  default     = "json"
}

variable "decision_log_sample_rate" {
  description = "Share of Allows that get a line, 0 to 1. Denials and refusals always do."
  type        = number
  default     = 1
}

variable "decision_log_requests" {
  description = "Whether a line has the Cedar request, with the attributes of the caller that policies could read."
  type        = bool
  default     = false
  validation {
    condition     = !var.decision_log_requests || var.principal_ids == "plain"
    error_message = "A request without the id of its principal cannot be decided again."
  }
}

variable "decision_log_claims" {
  description = "Claims whose values are in the line. They are personal data as soon as they are there."
  type        = list(string)
  default     = []
}

variable "principal_ids" {
  description = "How the caller's id is in the log: plain, hashed or off."
  type        = string
  default     = "plain"
}

variable "principal_ids_key" {
  description = "With `hashed`, the key of the hash: base64 of 16 bytes or more. It is in the state too."
  type        = string
  default     = null
  sensitive   = true
  validation {
    condition     = var.principal_ids != "hashed" || var.principal_ids_key != null
    error_message = "principal_ids = \"hashed\" needs principal_ids_key."
  }
}

variable "metrics_namespace" {
  description = "Namespace of the metrics in CloudWatch."
  type        = string
  default     = "CedarAuthorizer"
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}

variable "signing_key_secret_arn" {
  description = "ARN of the secret that bundles are signed with. Whoever publishes may read it."
  type        = string
  default     = null
}

variable "publisher_oidc_provider_arn" {
  description = "OIDC provider of the CI system that publishes. Null makes the policy of a publisher, but no role."
  type        = string
  default     = null
}

variable "publisher_subject" {
  description = "The one subject (`sub`) that may publish, such as repo:OWNER/REPOSITORY:ref:refs/heads/main."
  type        = string
  default     = null
  validation {
    # A wildcard here would let in every branch, and so everybody who may open a pull request.
    condition     = var.publisher_oidc_provider_arn == null || can(regex("^[^*?\"\\\\\\s]+$", var.publisher_subject))
    error_message = "publisher_oidc_provider_arn needs one subject, without wildcards."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "monitoring" {
  description = "The API whose alarms and dashboard are made. deploy/monitoring.yaml says what the values mean. Null makes none."
  type = object({
    api_kind             = string
    api_dimension        = string
    stage_name           = string
    alarm_topic_arn      = optional(string, "")
    denial_percent       = optional(number, 50)
    latency_microseconds = optional(number, 250000)
  })
  default = null
}
