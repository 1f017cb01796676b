# mmcl with exactly the packages of requirements.lock, checked by their hashes (docs/install.md):
#   docker build --tag mmcl .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/work" mmcl snakemake --cores 8 results/…
FROM python:3.12-slim-bookworm

# what OpenCV's wheel expects of the system
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libsm6 libxext6 \
    && rm -rf /var/lib/apt/lists/*

# first the environment, a layer that changes with the pins alone
COPY requirements.lock /opt/mmcl/
RUN pip install --no-cache-dir uv \
    && uv venv /opt/env \
    && uv pip sync --no-cache --compile-bytecode --python /opt/env/bin/python --require-hashes /opt/mmcl/requirements.lock

# then the package, built by the setuptools of the lock
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE NOTICE Snakefile config.yaml environment.yml /opt/mmcl/
COPY mmcl /opt/mmcl/mmcl
COPY profiles /opt/mmcl/profiles
COPY resources /opt/mmcl/resources
COPY workflow /opt/mmcl/workflow
RUN uv pip install --no-cache --python /opt/env/bin/python --no-deps --no-build-isolation /opt/mmcl

# whoever runs it may have neither home nor name there; Snakemake asks for a name
ENV PATH=/opt/env/bin:$PATH HOME=/tmp USER=mmcl
WORKDIR /work
CMD ["mmcl", "--help"]
