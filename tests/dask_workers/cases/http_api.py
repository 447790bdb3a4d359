from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Context, ModelSpec
from mtor_kernel.protocol.query import Message, Modality, Options, Query, Text
from tests.dask_workers.contract import Case
from tests.dask_workers.services.weather import WeatherService


def ask_for_the_weather(prompt: str, context: Context, options: Options) -> Query:
    parameters = {"latitude": "52.52", "longitude": "13.41"}
    return Query((Message("user", (Text(""),)),), options=Options(parameters=parameters))


CASES = [
    Case(
        "http_api",
        ModelSpec(
            "weather",
            Modality.API,
            "http_api",
            RateCard(query_micro=100),
            settings={
                "url": "/v1/forecast?latitude={latitude}&longitude={longitude}"
                "&current=temperature_2m,wind_speed_10m",
                "parameters": {"latitude": {"required": True}, "longitude": {"required": True}},
                "headers_env": {"X-Api-Key": "MTOR_TEST_KEY"},
                "answer": "current",
            },
        ),
        WeatherService,
        question=ask_for_the_weather,
        streams=False,
        userinfo=False,
    )
]
