"""What a model is not told."""

import pytest

from mtor_kernel.magics.secrecy import Secrets, without_values

KEY = "sk-" + "abcdef123456" * 3
SECRET = {
    f"client = Client('{KEY}')": KEY,
    "api_key = 'open sesame'": "open sesame",
    'openai_api_key: str = "open sesame"': "open sesame",
    "login(user='ada', password='hunter2')": "hunter2",
    'config = {"token": "a b c", "x": 1}': "a b c",
    'os.environ["AWS_SECRET_ACCESS_KEY"] = "abc/def"': "abc/def",
    "db = 'postgres://ada:hunter2@db/x'": "ada:hunter2",
    "headers = {'Authorization': f'Bearer abcdefgh12345'}": "abcdefgh12345",
    "k = '''-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----'''": "MIIE",
    "x = 'deadbeef1234deadbeef1234deadbeef'": "deadbeef1234deadbeef1234deadbeef",
    "x = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc'": "eyJhbGciOiJIUzI1NiJ9",
}


@pytest.mark.parametrize("code", SECRET)
def test_a_secret_is_taken_out_and_comes_back(code: str) -> None:
    secrets = Secrets()
    told = secrets.take_out(code)
    assert SECRET[code] not in told
    assert "MTOR_SECRET_1" in told
    assert secrets.put_back(told) == code


@pytest.mark.parametrize(
    "code",
    [
        "total = sum(ages) / len(ages)",
        "tokens = text.split()",
        "key = lambda row: row['name']",
        "df.sort_values(key='age')",
        "x = 'https://example.org/a/b'",
        "n_tokens = 512",
        "def token(self) -> str: ...",
    ],
)
def test_code_without_secrets_is_told_as_it_is(code: str) -> None:
    assert Secrets().take_out(code) == code


def test_one_secret_has_one_placeholder() -> None:
    secrets = Secrets()
    assert secrets.take_out("token = 'abc'\npassword = 'xyz'\ntoken2 = 'abc'") == (
        "token = 'MTOR_SECRET_1'\npassword = 'MTOR_SECRET_2'\ntoken2 = 'MTOR_SECRET_1'"
    )
    assert secrets.put_back("MTOR_SECRET_9") == "MTOR_SECRET_9"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "could not convert string to float: '4111 1111 1111'",
            "could not convert string to float: '…'",
        ),
        ("could not convert string to float: 'in the code'", None),
        ("no row for ada@example.org or 4111111111", "no row for … or …"),
        ("no file /home/ada/secret/x.csv", "no file …"),
        ("shapes (3,) (4,) and index 10", None),
        (f"bad key {KEY}", "bad key …"),
        ("name 'agess' is not defined", "name '…' is not defined"),
    ],
)
def test_values_that_do_not_stand_in_the_code_are_not_told(message: str, told: str | None) -> None:
    assert without_values(message, "float('in the code')", names=False) == (told or message)


def test_names_are_told_where_the_error_is_about_names() -> None:
    assert without_values("name 'agess' is not defined", "", names=True) == (
        "name 'agess' is not defined"
    )
    assert "hunter" not in without_values("bad 'hunter 2!'", "", names=True)


def test_a_long_message_is_cut() -> None:
    assert len(without_values("x" * 10_000, "", names=False)) < 700


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "cell",
    [
        "a/" * 125_000,
        "a+" * 125_000,
        "token" * 50_000,
        "eyJabcdefgh-" * 20_000,
        "-----BEGIN PRIVATE KEY-----\n" * 2_500,
    ],
    ids=lambda cell: cell[:12],
)
def test_a_cell_of_a_quarter_of_a_megabyte_is_looked_through_in_no_time(cell: str) -> None:
    assert Secrets().take_out(cell + KEY).endswith("MTOR_SECRET_1")
