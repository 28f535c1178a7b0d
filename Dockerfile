# One image for each part of DTQS: docker run dtqs api | supervisor | keeper | migrate | console | …
# docs/docker.md explains targets, settings, volumes and sizes.
#   docker build --target dtqs -t dtqs .                API, keeper, workers without video and rare kinds of images
#   docker build --target dtqs-media -t dtqs-media .    the same with ffmpeg, NumPy and libjxl (the default)

# python:3.11.16-slim-bookworm for all platforms. docs/docker.md says how to renew the digest.
ARG BASE=docker.io/library/python@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
FROM ${BASE} AS base

FROM base AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY conf/constraints.txt conf/
ENV PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# All packages that DTQS needs, botocore for S3, OpenTelemetry, and setuptools: some packages have no wheel, so they are
# built here. The extra media lies in a folder of its own.
RUN python -m venv /opt/dtqs \
    && awk '/^#/ {file = /needs to run|extra (s3|otel)/ ? "packages.txt" : /extra media/ ? "media.txt" : "/dev/null"} \
        /^setuptools==/ {print >"build.txt"} /==/ {print >file}' conf/constraints.txt \
    && /opt/dtqs/bin/pip install -r build.txt \
    && /opt/dtqs/bin/pip install --no-build-isolation -r packages.txt \
    && packages=$(/opt/dtqs/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && /opt/dtqs/bin/pip install --target "/media$packages" -r media.txt
COPY . .
COPY --chmod=755 conf/trim-python /usr/local/bin/
# A read-only image cannot keep compiled modules, so all are compiled here. Installers are not needed any more.
RUN /opt/dtqs/bin/pip install --no-build-isolation . \
    && /opt/dtqs/bin/pip uninstall --yes --quiet setuptools pip \
    && trim-python /opt/dtqs \
    && trim-python /media/opt/dtqs \
    && python -m compileall -q -j 0 /opt/dtqs \
    && python -m compileall -q -j 0 -s /media /media

FROM base AS ffmpeg
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Debian's ffmpeg depends on players and graphics drivers (libLLVM, mesa), which no encoder loads. Only the libraries
# that the two programs link are copied, with fonts for text in videos. ICU's tables are for old encodings of XML: a
# library without tables takes their place.
# hadolint ignore=DL3008
RUN apt-get update \
    && find / -xdev -name '*.so*' | sort >/before \
    && apt-get install -y --no-install-recommends ffmpeg fonts-dejavu-core gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --chmod=755 conf/trim-ffmpeg /usr/local/bin/
RUN trim-ffmpeg /before /ffmpeg

FROM base AS dtqs
COPY --from=build /opt/dtqs /opt/dtqs
RUN groupadd --gid 10001 dtqs \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/dtqs --shell /usr/sbin/nologin dtqs \
    && install -d -m 1777 /var/lib/dtqs /var/lib/dtqs/files
# Any other user may run it. Without the mode 1777 a volume would belong to 10001 alone.
USER 10001:10001
WORKDIR /var/lib/dtqs
ENV PATH=/opt/dtqs/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DTQS_API_HOST=0.0.0.0
EXPOSE 8080
VOLUME ["/var/lib/dtqs"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["dtqs", "health", "any"]
ENTRYPOINT ["dtqs"]
CMD ["--help"]

FROM dtqs AS dtqs-media
COPY --from=build /media/ /
COPY --from=ffmpeg /ffmpeg/ /
