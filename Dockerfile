# The service in an image: docker build -t tailrace . && docker run -p 8180:8180 -e TAILRACE_SERVER__INSECURE=true tailrace
#
# It needs TAILRACE_SERVER__INSECURE=true: others can reach a published port, and there are no client keys.
# The steps are plain shell, the same that the Makefile runs; `make image-steps` runs them without a container engine.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY install.sh requirements.lock pyproject.toml hatch_build.py README.md LICENSE ./
COPY adapters adapters
COPY service service
RUN ./install.sh /opt/tailrace requirements.lock

FROM python:${PYTHON}-slim
COPY --from=build /opt/tailrace /opt/tailrace
RUN useradd --system --uid 10001 --no-create-home tailrace && mkdir /data && chown tailrace /data
USER tailrace
WORKDIR /data
VOLUME /data
ENV PATH=/opt/tailrace/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8180
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8180/healthz', timeout=2)"]
ENTRYPOINT ["tailrace"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data"]
