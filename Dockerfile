# Two images: `apostille` (controller, admission, command line) and `apostille-exchange` (the sidecar).
#
#   docker build --target apostille -t apostille:dev .
#   docker build --target apostille-exchange -t apostille-exchange:dev .
#
# BASE is any image with Python 3.11 or later, its venv module and a shell; nothing here depends on an architecture.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /source
COPY locks/runtime.txt ./
# pip is for building only; what runs cannot install anything.
RUN python3 -m venv /opt/apostille \
 && /opt/apostille/bin/python -m pip install --no-cache-dir --no-compile --disable-pip-version-check \
      --require-hashes --only-binary :all: -r runtime.txt \
 && /opt/apostille/bin/python -m pip freeze --all | sed -n 's/^\(pip\|setuptools\|wheel\)==.*/\1/p' \
  | xargs /opt/apostille/bin/python -m pip uninstall -q --yes \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/apostille/lib
COPY operator/ operator/
# Compiled here: the file systems they run from are read-only.
RUN set -e; python=$(command -v python3); \
    packages=$(/opt/apostille/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
    exchange=/opt/apostille-exchange; \
    mkdir -p "$exchange/bin" "$exchange/lib"; \
    cp -R operator/apostille operator/apostille_exchange "$packages/"; \
    cp -R operator/apostille_exchange "$exchange/lib/"; \
    find "$packages/apostille" "$packages/apostille_exchange" "$exchange" -name __pycache__ -prune -exec rm -rf {} +; \
    printf '#!%s\nfrom apostille.cli.main import main\n\nmain()\n' /opt/apostille/bin/python \
      > /opt/apostille/bin/apostille; \
    # -I and -S: no environment variable, no installed package and no current directory decides what it imports.
    printf '#!%s -IS\nimport sys\n\nsys.path.insert(0, "%s/lib")\nfrom apostille_exchange.main import main\n\nmain()\n' \
      "$python" "$exchange" > "$exchange/bin/apostille-exchange"; \
    chmod 755 /opt/apostille/bin/apostille "$exchange/bin/apostille-exchange"; \
    for folder in "$packages/apostille" "$packages/apostille_exchange" "$exchange/lib"; do \
      python3 -m compileall -q --invalidation-mode unchecked-hash "$folder"; \
    done

FROM ${BASE} AS apostille-exchange
LABEL org.opencontainers.image.title="apostille-exchange" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/apostille-exchange /opt/apostille-exchange
ENV PATH=/opt/apostille-exchange/bin:/usr/local/bin:/usr/bin:/bin
# A number, so that runAsNonRoot can be judged without a passwd file.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["apostille-exchange"]

FROM ${BASE} AS apostille
LABEL org.opencontainers.image.title="apostille" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/apostille /opt/apostille
# USER: kopf asks for the name of its user, which a number without a passwd entry has not.
ENV PATH=/opt/apostille/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=apostille
USER 65532:65532
WORKDIR /
ENTRYPOINT ["apostille"]
