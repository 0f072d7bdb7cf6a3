//! The integration tests. They use only the public API, the binaries and real sockets.

// Calls through `authorize`, on stores other than the sample.
#[cfg(test)]
mod authorization;
// `avp`: the API of Verified Permissions.
#[cfg(test)]
mod avp;
// The life of a bundle in the function: refreshed, refused, too stale.
#[cfg(test)]
mod bundle_life;
// `check`: what it prints for people, scanners and workflows, and which warnings count.
#[cfg(test)]
mod checking;
// The command line on the sample store and on invalid input.
#[cfg(test)]
mod command_line;
// The decision log: the lines of every kind of event, in both formats, and what they are good for.
#[cfg(test)]
mod decision_log;
// The page of `serve` in a real browser.
#[cfg(test)]
#[cfg(unix)]
mod browser;
// Objects that are composed of others within S3.
#[cfg(test)]
mod composing;
// `diff`: what a change of policies would do.
#[cfg(test)]
mod diffs;
// Compares the tables of the documentation with the code.
#[cfg(test)]
mod documentation;
// The library in a program of somebody else.
#[cfg(test)]
mod embedding;
// `authorize`: what it says of a decision.
#[cfg(test)]
mod explaining;
// Every file in `events/`: what it is made of, and what it leads to.
#[cfg(test)]
mod events;
// The examples, compiled and run.
#[cfg(test)]
mod examples;
// The compiled function under a Runtime API, with S3 and key servers and their faults.
#[cfg(test)]
mod function;
// Grants under API Gateway's cache: every decision of the oracle, with the cache and without it.
#[cfg(test)]
mod grants;
// Random policies and calls under every kind of cache key.
#[cfg(test)]
mod keys;
// Keys to sign bundles with.
#[cfg(test)]
#[cfg(unix)]
mod keygen;
// `init`: the stores that it makes of descriptions, and what it refuses.
#[cfg(test)]
mod init;
// What the command line says of itself: help, completions, manual pages, colours.
#[cfg(test)]
mod help;
// `inspect`: what it shows of a bundle, of two bundles, and of broken ones.
#[cfg(test)]
mod inspecting;
// A function in this process whose lines a test can read.
#[cfg(test)]
mod listening;
// The life of keys in the function: rotation, outages, discovery.
#[cfg(test)]
mod key_life;
// The spans that the function sends to a collector.
#[cfg(test)]
#[cfg(feature = "otlp")]
mod traces;
// The metrics that the function writes, read by the rules of the embedded metric format.
#[cfg(test)]
mod metrics;
// The events of API Gateway, of every kind.
#[cfg(test)]
mod gateway;
// Every kind of event, on a store with resources.
#[cfg(test)]
mod kinds;
// The types of `aws_lambda_events`: every event and every answer through them.
#[cfg(test)]
mod lambda_events;
// Stand-ins for the services that the function talks to.
#[cfg(test)]
mod loopback;
// From claims to what policies see, as the User Guide describes it.
#[cfg(test)]
mod mapping;
// `matrix`: who may call what.
#[cfg(test)]
mod matrices;
// A simple model of API Gateway: routing, cache, IAM.
#[cfg(test)]
mod oracle;
// The package as it is deployed, on ten events.
#[cfg(test)]
mod package;
// Who may do what in the sample store.
#[cfg(test)]
mod personas;
// Pictures of schemas.
#[cfg(test)]
mod pictures;
// The workflows of the documentation.
#[cfg(test)]
mod pipelines;
// `prove`, and the proofs of `diff`.
#[cfg(test)]
mod proofs;
// Tokens of OpenID Connect providers: every algorithm, and one fault each.
#[cfg(test)]
mod providers;
// `import` and `export`: policy stores from elsewhere, and the way back.
#[cfg(test)]
mod porting;
// Large bundles: what is fetched of them, and what is sent.
#[cfg(test)]
mod parts;
// `publish` against S3: the protocol, its races and its faults.
#[cfg(test)]
mod publishing;
// Parts of objects in S3, as the function reads them, and what can be wrong with them.
#[cfg(test)]
mod ranges;
// The sample stores: their tests, and what is left of them without each policy.
#[cfg(test)]
mod samples;
// `replay` and `redact`: recorded requests.
#[cfg(test)]
mod replaying;
// What the function must never write: tokens, and secrets from its settings.
#[cfg(test)]
mod secrets;
// The size limit of responses, for any token and any store.
#[cfg(test)]
mod responses;
// Signatures through `jsonwebtoken`, with our cryptography.
#[cfg(test)]
mod signatures;
// The rooms of the library: which imports which.
#[cfg(test)]
mod rooms;
// `serve`: an API Gateway on this machine.
#[cfg(test)]
mod serving;
// Starts of the function: what is asked of the network before the first call, and in which order.
#[cfg(test)]
mod starting;
// Keys made for tests, and tokens signed with them.
#[cfg(test)]
mod signing;
// Policies and entities that a slice leaves out change no decision.
#[cfg(test)]
mod slices;
// Broken policy stores, and what `check` says of them.
#[cfg(test)]
mod stores;
// Bundles of tenants: how the tenant of a call is found, and how tenants are kept apart.
#[cfg(test)]
mod tenants;
// `test`: its files, its answers, its reports.
#[cfg(test)]
mod testing;
// What `check` says of SAM and CloudFormation templates.
#[cfg(test)]
mod templates;
// Cognito's tokens with one fault each.
#[cfg(test)]
mod tokens;
// A terminal, for tests of what a program writes to one.
#[cfg(test)]
mod terminal;
// Answers for the whole API: exact, and within their limits.
#[cfg(test)]
mod whole_api;
// Keys with which somebody other than the owner could sign.
#[cfg(test)]
mod weak_keys;
// What several of these modules use.
#[cfg(test)]
mod world;
