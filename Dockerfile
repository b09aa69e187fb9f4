# Builds turnout and its load generator on Debian 12, and leaves the compiler behind.
FROM debian:12-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        g++ cmake ninja-build pkg-config \
        libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libssl-dev libpq-dev libspdlog-dev libfmt-dev \
        prometheus-cpp-dev libtomlplusplus-dev libcli11-dev libyaml-cpp-dev libbenchmark-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cmake --preset release && cmake --build build --target turnout turnout_load

FROM debian:12-slim
# postgresql-client: pg_dump and pg_restore, which `turnout sync` runs.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libboost-json1.81.0 libboost-url1.81.0 libssl3 libpq5 libspdlog1.10 libfmt9 libprometheus-cpp-core1.0 \
        libtomlplusplus3 libyaml-cpp0.7 postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home turnout \
    && install -d -o turnout -g turnout /run/turnout /var/lib/turnout
COPY --from=build /source/build/turnout /source/build/bench/turnout_load /usr/local/bin/
USER turnout
ENV TURNOUT_ADMIN=/run/turnout
VOLUME /var/lib/turnout
EXPOSE 6432 9632
ENTRYPOINT ["turnout"]
CMD ["serve", "--config", "/etc/turnout/turnout.toml"]
