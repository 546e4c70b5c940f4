# One image for the backend and for the app: compose.yaml says which command runs.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.txt ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --requirement requirements.txt

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    R2T2_DATA_DIR=/data
RUN useradd --create-home --uid 10001 r2t2 \
    && install --directory --owner=r2t2 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY app.py ./
COPY .streamlit ./.streamlit
COPY pages ./pages
COPY r2t2_core ./r2t2_core
COPY sample_data ./sample_data
USER 10001
VOLUME /data
EXPOSE 8600 8501
STOPSIGNAL SIGTERM
CMD ["python", "-m", "r2t2_core.cli", "serve", "--host", "0.0.0.0", "--port", "8600"]
