# Verified Permissions in a container, for the tests of applications that use it.
#
#   docker build --file examples/avp.Dockerfile --tag cedar-authorizer-avp .
#   docker run --publish 127.0.0.1:8180:8180 cedar-authorizer-avp
#
# Whoever reaches the port can change policies and ask for decisions, so publish it on loopback only.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --release --bin cedar-authorizer

FROM debian:bookworm-slim
# The keys of issuers come over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm --recursive --force /var/lib/apt/lists/*
COPY --from=build /source/target/release/cedar-authorizer /usr/local/bin/
# Policy stores that `--data /stores --write` keeps.
RUN mkdir /stores && chown 65534:65534 /stores
USER 65534:65534
EXPOSE 8180
ENTRYPOINT ["cedar-authorizer", "avp", "--host", "0.0.0.0"]
