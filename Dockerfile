# One image for all processes of the portal: the command chooses one. docs/deploy.md explains it, compose.yaml uses it.
#
#   web       (the default)
#   worker    celery -A config worker -Q celery --include config.watch.liveness --concurrency 2
#   sweep     celery -A config worker -Q sweep --include config.watch.liveness --concurrency 2
#   beat      celery -A config beat --schedule /tmp/portal-beat
#   migrate   python manage.py migrate
#
# It runs as user 10001. The root file system may be read-only: it writes only to /data, /tmp and /dev/shm.

# The digest decides, not the tag. It is named here only, where Dependabot finds it.
FROM python:3.13.7-slim-bookworm@sha256:adafcc17694d715c905b4c7bebd96907a1fd5cf183395f0ebc4d3428bd22d92d AS python

# --- The packages, each checked against its hash ---
FROM python AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt /build/requirements.txt
# Install only wheels, so no compiler is needed. pip itself is not copied to the image.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
        -r /build/requirements.txt

# --- The portal: static files hashed and compressed, Python modules compiled ---
FROM packages AS portal
WORKDIR /srv/portal
COPY manage.py LICENSE ./
COPY config config
COPY audit audit
COPY accounts accounts
COPY fileshare fileshare
COPY payments payments
COPY templates templates
COPY static static
COPY locale locale
COPY deploy/healthcheck.py deploy/healthcheck.py
# The build needs no secrets: on loopback the portal creates its own, which are deleted with this DATA_DIR.
RUN DATA_DIR=/tmp/build STATIC_COLLECTED=1 /opt/venv/bin/python manage.py collectstatic --noinput \
    && rm -r /tmp/build \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash .

# --- What runs ---
FROM python
LABEL org.opencontainers.image.title="Portal" \
    org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 portal \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin portal \
    && install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=packages /opt/venv /opt/venv
COPY --from=portal /srv/portal /srv/portal
WORKDIR /srv/portal
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    STATIC_COLLECTED=1
# A number and not a name, so that a cluster can check that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=6s --start-period=40s --retries=3 \
    CMD ["python", "deploy/healthcheck.py", "web"]
# The settings come from config/gunicorn.py. Requests under way get a minute to end. Workers write their heartbeat
# to memory, because a slow disk must not look like a hung worker.
CMD ["gunicorn", "--config", "python:config.gunicorn", "--graceful-timeout", "60", "--worker-tmp-dir", "/dev/shm", "config.wsgi:application"]
