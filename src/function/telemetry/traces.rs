//! Traces: a span for each event and one for each of its steps, sent by OTLP.
//!
//! The spans are made from what was measured anyway, when the answer is there, and leave after the answer. Only a
//! function with the feature `otlp` has them. Without it there are the settings alone, which then must not be set.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod outbox;
#[cfg(feature = "otlp")]
mod parent;
#[cfg(feature = "otlp")]
mod recorder;
#[cfg(feature = "otlp")]
mod resource;
pub mod settings;
#[cfg(feature = "otlp")]
mod spans;

#[cfg(not(feature = "otlp"))]
pub use absent::Traces;
#[cfg(feature = "otlp")]
pub use recorder::Traces;
