//! Export: the description of a deployed API, fetched from API Gateway.
//!
//! Rules: API Gateway REST API Reference, `GetRestApi`, `GetStages` and `GetExport`; API Gateway Version 2 API
//! Reference, `GetApi` and `ExportApi`.

use std::env;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::ACCEPT;
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::api::{Api, Extent, MAX_BYTES};
use super::text;
use crate::output::{Failure, printable};
use crate::progress;
use crate::runtime::runtime;

/// Fetches the description of an API with the credentials of the user.
pub fn fetch(id: &str, stage: Option<&str>, region: Option<&str>) -> Result<Api, Failure> {
    let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_id(id) {
        let message = format!("`{}` is not the id of an API", text::comment(id));
        return Err(Failure::could_not_run(message)
            .hint("an id reads a1b2c3d4e5; it is the first label of the API's host"));
    }
    let (content, name) = progress::during(format!("fetching the description of `{id}`"), || {
        runtime()?.block_on(async { Gateway::open(region).await?.export(id, stage).await })
    })?;
    let mut api = Api::of_description(&content, &format!("API {id}"), Extent::Whole)?;
    if api.title.is_empty() {
        api.title = name;
    }
    Ok(api)
}

/// API Gateway in a region.
struct Gateway {
    client: Client,
    endpoint: Url,
    region: String,
    credentials: Credentials,
}

#[derive(Deserialize)]
struct RestApi {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Stages {
    #[serde(default)]
    item: Vec<Stage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stage {
    stage_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpApi {
    #[serde(default)]
    name: String,
    #[serde(default)]
    protocol_type: String,
}

impl Gateway {
    /// Finds region, endpoint and credentials as every AWS SDK does.
    async fn open(region: Option<&str>) -> Result<Self, Failure> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let no_credentials = |cause: &str| {
            Failure::could_not_run(format_args!("no AWS credentials: {cause}")).hint(CREDENTIALS_HINT)
        };
        let config = timeout(TIMEOUT, loader.load())
            .await
            .map_err(|_| no_credentials("looking for them took too long"))?;
        let region = config.region().map(|region| region.as_ref().to_owned()).ok_or_else(|| {
            Failure::could_not_run("in which region is the API?")
                .hint("name it by --region, or set AWS_REGION")
        })?;
        if !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(Failure::could_not_run(format_args!("`{}` is not a region", text::comment(&region))));
        }
        let provider = config.credentials_provider().ok_or_else(|| no_credentials("none are set"))?;
        let credentials = timeout(TIMEOUT, provider.provide_credentials()).await;
        let credentials = credentials.map_err(|_| no_credentials("looking for them took too long"))?;
        let credentials = credentials.map_err(|error| no_credentials(&printable(&error.to_string())))?;
        let endpoint = endpoint(&region)?;
        let client =
            Client::builder().redirect(redirect::Policy::none()).connect_timeout(TIMEOUT).timeout(TIMEOUT);
        let client =
            client.build().map_err(|error| Failure::could_not_run(format_args!("no HTTPS: {error}")))?;
        Ok(Self { client, endpoint, region, credentials })
    }

    /// The description of an API, and its name.
    async fn export(&self, id: &str, stage: Option<&str>) -> Result<(Vec<u8>, String), Failure> {
        // An id does not say which kind of API it is of.
        if let Some(api) = self.json::<RestApi>(&["restapis", id]).await? {
            let stage = match stage {
                Some(stage) => stage.to_owned(),
                None => self.only_stage(id).await?,
            };
            let path = ["restapis", id, "stages", &stage, "exports", "oas30"];
            let content = self.get(&path, &[("extensions", "apigateway")]).await?;
            let content = content.ok_or_else(|| no_stage(id, &stage))?;
            return Ok((content, api.name));
        }
        let Some(api) = self.json::<HttpApi>(&["v2", "apis", id]).await? else {
            let message = format!("there is no API `{id}` in {}", self.region);
            return Err(Failure::could_not_run(message).hint("name another region by --region"));
        };
        if api.protocol_type == "WEBSOCKET" {
            let message = format!("`{id}` is a WebSocket API, which has no description");
            return Err(
                Failure::could_not_run(message).hint("of its routes only `$connect` can have an authorizer")
            );
        }
        let mut query = vec![("outputType", "JSON"), ("includeExtensions", "true")];
        query.extend(stage.map(|stage| ("stageName", stage)));
        let content = self.get(&["v2", "apis", id, "exports", "OAS30"], &query).await?;
        let content = content.ok_or_else(|| no_stage(id, stage.unwrap_or_default()))?;
        Ok((content, api.name))
    }

    /// The stage of a REST API, if it has no other.
    async fn only_stage(&self, id: &str) -> Result<String, Failure> {
        let stages = self.json::<Stages>(&["restapis", id, "stages"]).await?;
        let names: Vec<String> =
            stages.into_iter().flat_map(|stages| stages.item).map(|stage| stage.stage_name).collect();
        match names.as_slice() {
            [stage] => Ok(stage.clone()),
            [] => Err(Failure::could_not_run(format_args!(
                "`{id}` has no stage, and only stages can be exported"
            ))
            .hint("deploy the API first")),
            several => {
                let names = printable(&several.join(", "));
                Err(Failure::could_not_run(format_args!("`{id}` has several stages: {names}"))
                    .hint("choose one by --stage"))
            }
        }
    }

    async fn json<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Failure> {
        let Some(content) = self.get(path, &[]).await? else { return Ok(None) };
        let value = serde_json::from_slice(&content);
        value.map(Some).map_err(|error| {
            Failure::could_not_run(format_args!(
                "API Gateway answers `/{}` with no JSON: {error}",
                path.join("/")
            ))
        })
    }

    /// The answer to a signed GET. `None`: there is nothing.
    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Vec<u8>>, Failure> {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let what = url.path().to_owned();
        let unreachable = |error: reqwest::Error| {
            let cause = if error.is_timeout() { "no answer in time" } else { "it cannot be reached" };
            Failure::could_not_run(format_args!("API Gateway in {}: {cause}", self.region))
                .hint("is the region right? See --region and AWS_ENDPOINT_URL_API_GATEWAY")
        };
        let mut request = self.client.get(url.clone()).header(ACCEPT, JSON);
        for (name, value) in self.signature(&url)? {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(self.refused(status, &what, response).await),
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            content.extend_from_slice(&chunk);
            if u64::try_from(content.len()).is_ok_and(|length| length > MAX_BYTES) {
                return Err(Failure::could_not_run(format_args!(
                    "`{what}` has more than {} MiB",
                    MAX_BYTES >> 20
                )));
            }
        }
        Ok(Some(content))
    }

    /// What a refusal means for the user.
    async fn refused(&self, status: StatusCode, what: &str, response: Response) -> Failure {
        #[derive(Deserialize)]
        struct Refusal {
            #[serde(alias = "Message")]
            message: String,
        }
        let body = response.bytes().await.unwrap_or_default();
        let message = serde_json::from_slice(&body).map(|Refusal { message }| message);
        let message = message.map(|message| format!(": {}", text::comment(&message))).unwrap_or_default();
        let failure = Failure::could_not_run(format_args!(
            "API Gateway refuses `{what}` with {}{message}",
            status.as_u16()
        ));
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => failure.hint(format!(
                "the credentials need `apigateway:GET` on arn:aws:apigateway:{}::{what}",
                self.region
            )),
            StatusCode::TOO_MANY_REQUESTS => failure.hint("try again in a minute"),
            _ => failure,
        }
    }

    fn signature(&self, url: &Url) -> Result<Vec<(&'static str, String)>, Failure> {
        let failed = || Failure::could_not_run("the request cannot be signed");
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("apigateway")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| failed())?
            .into();
        let headers = [(ACCEPT.as_str(), JSON)];
        let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::empty());
        let (instructions, _) =
            sign(request.map_err(|_| failed())?, &parameters).map_err(|_| failed())?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}

/// AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
fn endpoint(region: &str) -> Result<Url, Failure> {
    let set = ["AWS_ENDPOINT_URL_API_GATEWAY", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (name, value)));
    let (name, text) = set.unwrap_or_else(|| {
        let suffix = SUFFIXES.iter().find(|(prefix, _)| region.starts_with(prefix));
        let suffix = suffix.map_or("amazonaws.com", |(_, suffix)| suffix);
        ("--region", format!("https://apigateway.{region}.{suffix}"))
    });
    let url =
        text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Failure::could_not_run(format_args!("{name} gives no URL of the form https://host")))
}

fn no_stage(id: &str, stage: &str) -> Failure {
    let message = format!("`{id}` has no stage `{}`", text::comment(stage));
    Failure::could_not_run(message).hint("name a stage of the API by --stage")
}

const CREDENTIALS_HINT: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or export the API \
                                yourself, and name the file by --openapi";

const JSON: &str = "application/json";

/// For each request. An export takes a second or two.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The domains of the partitions other than `aws` and `aws-us-gov`, by the first letters of their regions.
const SUFFIXES: [(&str, &str); 2] = [("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu")];
