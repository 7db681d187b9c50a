# The images of radar-agent and radar-bridge: one static program (the bridge: and `radar`) without a system around it.
#
#   docker buildx build --target agent  --platform linux/amd64,linux/arm64,linux/arm/v7 .
#   docker buildx build --target bridge --platform linux/amd64,linux/arm64,linux/arm/v7 .
#
# Compiled on the machine that builds, for the platform that is asked for; nothing is emulated. The classic builder
# works too, on amd64 and for amd64.

ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch

FROM --platform=${BUILDPLATFORM:-linux/amd64} ${BUILD_IMAGE} AS build-agent
WORKDIR /source
COPY deploy/image/build deploy/image/
COPY Cargo.toml Cargo.lock ./
COPY tests/Cargo.toml tests/
COPY broker/Cargo.toml broker/
COPY broker/connect broker/connect
COPY broker/link broker/link
COPY broker/wire broker/wire
ARG TARGETARCH
ARG TARGETVARIANT
ARG LIBC=musl
ARG PROFILE=release
ARG VERSION
ARG COMMIT
COPY src src
# A package without a program is none; the bridge's own code is no reason to build the agent anew.
COPY broker/src/main.rs broker/src/
RUN deploy/image/build radar-agent /agent

FROM ${RUNTIME_IMAGE} AS agent
COPY --from=build-agent /agent/etc /etc
COPY --from=build-agent /agent/bin /
COPY --from=build-agent --chown=65532:65532 /agent/data /var/lib/radar-agent
USER 65532:65532
ENV PATH=/
VOLUME /var/lib/radar-agent
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/radar-agent", "health"]
ENTRYPOINT ["/radar-agent"]
ARG VERSION
ARG COMMIT
ARG SOURCE
LABEL org.opencontainers.image.title="radar-agent" \
    org.opencontainers.image.description="Publishes the containers of a Docker host over MQTT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${COMMIT}" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.licenses="MIT"

# Goes on where the agent's build has ended: what both are made from is compiled once.
FROM --platform=${BUILDPLATFORM:-linux/amd64} build-agent AS build-bridge
ARG TARGETARCH
ARG TARGETVARIANT
ARG LIBC=musl
ARG PROFILE=release
ARG VERSION
ARG COMMIT
COPY broker/src broker/src
RUN deploy/image/build radar-bridge /bridge

FROM ${RUNTIME_IMAGE} AS bridge
COPY --from=build-bridge /bridge/etc /etc
COPY --from=build-bridge /bridge/bin /
COPY --from=build-bridge --chown=65532:65532 /bridge/data /var/lib/radar-bridge
USER 65532:65532
ENV PATH=/
VOLUME /var/lib/radar-bridge
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/radar-bridge", "health"]
ENTRYPOINT ["/radar-bridge"]
ARG VERSION
ARG COMMIT
ARG SOURCE
LABEL org.opencontainers.image.title="radar-bridge" \
    org.opencontainers.image.description="Keeps a fleet's state and history and relays it to a Registry Radar server" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${COMMIT}" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.licenses="MIT"
