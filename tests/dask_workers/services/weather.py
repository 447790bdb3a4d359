"""Plays Open-Meteo's forecast, in the form that its page documents."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.dask_workers.services.service import Asked, Reply, Service


class WeatherService(Service):
    """It is always 5.2 degrees."""

    def reply(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        if parts.path != "/v1/forecast":
            return Reply([json.dumps(self.error(404, "Not Found")).encode()], status=404)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if abs(float(given["latitude"])) > 90:
            told = f"Latitude must be in range of -90 to 90°. Given: {given['latitude']}."
            return Reply([json.dumps(self.error(400, told)).encode()], status=400)
        return Reply([json.dumps(_forecast(given), ensure_ascii=False).encode()])

    def error(self, status: int, message: str) -> Any:
        return {"error": True, "reason": message}


def _forecast(given: dict[str, str]) -> Any:
    return {
        "latitude": float(given["latitude"]),
        "longitude": float(given["longitude"]),
        "generationtime_ms": 0.03,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 38.0,
        "current_units": {
            "time": "iso8601",
            "interval": "seconds",
            "temperature_2m": "°C",
            "wind_speed_10m": "km/h",
        },
        "current": {
            "time": "2026-01-01T12:00",
            "interval": 900,
            "temperature_2m": 5.2,
            "wind_speed_10m": 12.3,
        },
    }
