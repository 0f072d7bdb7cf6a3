//! What all spans are about: this service, in this function.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};

use super::settings::{FunctionFacts, ServiceName, TracesSettings};

/// OpenTelemetry's semantic conventions for functions and clouds. `OTEL_RESOURCE_ATTRIBUTES` counts before them.
pub(super) fn of(settings: &TracesSettings) -> Resource {
    let FunctionFacts { name, version, memory_mib, instance, region } = settings.function.clone();
    let (ServiceName::Usual(service) | ServiceName::OfTraces(service)) = settings.service.clone();
    let known = [
        Some(KeyValue::new("service.name", service.clone())),
        Some(KeyValue::new("cloud.provider", "aws")),
        Some(KeyValue::new("cloud.platform", "aws_lambda")),
        Some(KeyValue::new("faas.name", name)),
        region.map(|region| KeyValue::new("cloud.region", region)),
        version.map(|version| KeyValue::new("faas.version", version)),
        instance.map(|instance| KeyValue::new("faas.instance", instance)),
        memory_mib.map(|mib| KeyValue::new("faas.max_memory", mib.saturating_mul(1024 * 1024))),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(known.into_iter().flatten())
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match settings.service {
        ServiceName::Usual(_) => resource.build(),
        ServiceName::OfTraces(_) => resource.with_service_name(service).build(),
    }
}
