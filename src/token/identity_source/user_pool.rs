//! Cognito user pools.

use std::str::FromStr;

/// The ARN of a Cognito user pool, e.g.
/// `arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPoolArn {
    text: String,
    region: String,
    dns_suffix: &'static str,
    pool_id: String,
}

impl UserPoolArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the pool, e.g. `us-east-1_EXAMPLE`.
    pub fn pool_id(&self) -> &str {
        &self.pool_id
    }

    /// The two forms of issuer to which a pool can be set (Cognito API, `IssuerConfigurationType` `ORIGINAL` and
    /// `UPDATED`).
    pub fn issuers(&self) -> [String; 2] {
        let Self { region, dns_suffix, pool_id, text: _ } = self;
        ["cognito-idp", "issuer-cognito-idp"]
            .map(|host| format!("https://{host}.{region}.{dns_suffix}/{pool_id}"))
    }
}

impl FromStr for UserPoolArn {
    type Err = InvalidUserPoolArn;

    fn from_str(text: &str) -> Result<Self, InvalidUserPoolArn> {
        let fields: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "cognito-idp", region, account, resource] = fields.as_slice() else {
            return Err(InvalidUserPoolArn);
        };
        let pool_id = resource.strip_prefix("userpool/").ok_or(InvalidUserPoolArn)?;
        let name =
            pool_id.strip_prefix(region).and_then(|rest| rest.strip_prefix('_')).ok_or(InvalidUserPoolArn)?;
        let dns_suffix = PARTITIONS
            .iter()
            .find(|(known, _)| known == partition)
            .map(|(_, suffix)| *suffix)
            .ok_or(InvalidUserPoolArn)?;
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty()
            || !region.bytes().all(is_region)
            || account.len() != 12
            || !account.bytes().all(|byte| byte.is_ascii_digit())
            || name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(InvalidUserPoolArn);
        }
        Ok(Self {
            text: text.to_owned(),
            region: (*region).to_owned(),
            dns_suffix,
            pool_id: pool_id.to_owned(),
        })
    }
}

/// The text is not the ARN of a user pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a user pool ARN of the form arn:aws:cognito-idp:REGION:ACCOUNT:userpool/REGION_ID")]
pub struct InvalidUserPoolArn;

/// The domain of each partition (AWS General Reference, "AWS service endpoints").
const PARTITIONS: [(&str, &str); 4] = [
    ("aws", "amazonaws.com"),
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
    ("aws-us-gov", "amazonaws.com"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuers_are_in_the_domain_of_the_partition() {
        for (arn, issuers) in [
            (
                "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_A1",
                [
                    "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A1",
                    "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_A1",
                ],
            ),
            (
                "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/cn-north-1_A1",
                [
                    "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A1",
                    "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A1",
                ],
            ),
            (
                "arn:aws-us-gov:cognito-idp:us-gov-west-1:123456789012:userpool/us-gov-west-1_A1",
                [
                    "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_A1",
                    "https://issuer-cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_A1",
                ],
            ),
            (
                "arn:aws-eusc:cognito-idp:eusc-de-east-1:123456789012:userpool/eusc-de-east-1_A1",
                [
                    "https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_A1",
                    "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_A1",
                ],
            ),
        ] {
            assert_eq!(arn.parse::<UserPoolArn>().unwrap().issuers(), issuers);
        }
    }

    #[test]
    fn refuses_what_is_no_user_pool() {
        for text in [
            "",
            "us-east-1_EXAMPLE",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/eu-west-1_EXAMPLE",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EX/AMPLE",
            "arn:aws:cognito-idp:us-east-1@evil.example:123456789012:userpool/us-east-1@evil.example_A",
            "arn:aws:cognito-idp:us-east-1:1234:userpool/us-east-1_EXAMPLE",
            "arn:other:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
            "arn:aws:iam:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
        ] {
            assert_eq!(text.parse::<UserPoolArn>(), Err(InvalidUserPoolArn), "{text}");
        }
    }
}
