//! The integration tests: everything through the public API, the binaries and real sockets.

// Calls through `authorize`, on stores other than the sample.
#[cfg(test)]
mod authorization;
// The life of a bundle in the function: refreshed, refused, too stale.
#[cfg(test)]
mod bundle_life;
// The command line on the sample store and on nonsense.
#[cfg(test)]
mod command_line;
// The tables of the documentation against the code.
#[cfg(test)]
mod documentation;
// The library in a program of somebody else.
#[cfg(test)]
mod embedding;
// Every file in `events/`: what it is made of, and what it leads to.
#[cfg(test)]
mod events;
// The examples, compiled and run.
#[cfg(test)]
mod examples;
// The compiled function under a Runtime API, with S3 and key servers and their faults.
#[cfg(test)]
mod function;
// Grants under API Gateway's cache: every decision of the oracle, out of the cache as without it.
#[cfg(test)]
mod grants;
// Random policies and calls under every kind of cache key.
#[cfg(test)]
mod keys;
// Keys to sign bundles with.
#[cfg(test)]
#[cfg(unix)]
mod keygen;
// `inspect`: what is in a bundle, or between two, and what it says of those that are broken.
#[cfg(test)]
mod inspecting;
// The life of keys in the function: rotation, outages, discovery.
#[cfg(test)]
mod key_life;
// The events of API Gateway, of every kind.
#[cfg(test)]
mod gateway;
// Every kind of event, on a world of resources.
#[cfg(test)]
mod kinds;
// The types of `aws_lambda_events`: every event and every answer through them.
#[cfg(test)]
mod lambda_events;
// Stand-ins for what the function talks to.
#[cfg(test)]
mod loopback;
// From claims to what policies see, as the User Guide has it.
#[cfg(test)]
mod mapping;
// API Gateway in its simplest terms: routing, cache, IAM.
#[cfg(test)]
mod oracle;
// Who of the sample store may do what.
#[cfg(test)]
mod personas;
// Tokens of OpenID Connect providers: every algorithm, and one fault each.
#[cfg(test)]
mod providers;
// `publish` against S3: the protocol, its races and its faults.
#[cfg(test)]
mod publishing;
// What is in nothing that the function writes: tokens, and secrets of its settings.
#[cfg(test)]
mod secrets;
// The limit of responses, whatever is in a token or a store.
#[cfg(test)]
mod responses;
// Signatures through `jsonwebtoken`, by our cryptography.
#[cfg(test)]
mod signatures;
// The rooms of the library: what imports what.
#[cfg(test)]
mod rooms;
// Keys that are made for a test, and tokens signed with them.
#[cfg(test)]
mod signing;
// What a bundle leaves unread changes no decision.
#[cfg(test)]
mod slices;
// Broken policy stores and what is said of them.
#[cfg(test)]
mod stores;
// Bundles of tenants: whose call it is, and what one tenant is to another.
#[cfg(test)]
mod tenants;
// What `check` says of SAM and CloudFormation templates.
#[cfg(test)]
mod templates;
// Cognito's tokens with one fault each.
#[cfg(test)]
mod tokens;
// Answers for the whole API: exact, and within bounds.
#[cfg(test)]
mod whole_api;
// Keys for which somebody other than their owner could sign.
#[cfg(test)]
mod weak_keys;
// What several of the above need.
#[cfg(test)]
mod world;
