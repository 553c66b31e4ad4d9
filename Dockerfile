# cytoyolo for machines without a GPU. Build it where there is a network; it runs without one:
#
#     docker build -t cytoyolo .
#     docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/data" cytoyolo predict leukocytes images -o results
#
# `docker build -f Dockerfile.gpu` makes the image for NVIDIA's GPUs.
FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
# OpenCV needs libGL and GLib. Debian's mends of them are wanted, so no version is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
# The CPU builds of PyTorch first: the builds of the usual index bring 5 GB of CUDA. They are called 2.14.1+cpu.
RUN grep -E '^(torch|torchvision)==' /tmp/constraints.txt > /tmp/torch.txt \
    && pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu -r /tmp/torch.txt
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt --find-links /tmp/wheels 'cytoyolo[onnx,review,slides]' \
    && rm -r /tmp/wheels /tmp/constraints.txt /tmp/torch.txt \
    && useradd --create-home --uid 1000 cytoyolo
# Any user may run it (docker run --user), so what the tool keeps for itself lies where everybody can write.
ENV CYTOYOLO_HOME=/tmp/cytoyolo \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1
USER 1000
WORKDIR /data
ENTRYPOINT ["cytoyolo"]
CMD ["--help"]
