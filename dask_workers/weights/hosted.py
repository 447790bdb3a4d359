"""Weights of better models, as their publishers host them. Data only.

An entry names the revision, the size and the SHA-256 of every file, so nothing that a hub or a
mirror says is believed. A figure stands here only if at least two projects that have nothing to do
with each other have published the same one for the same file; most are what the hub itself states
as the file's object id. Where that could not be had, the model is not here: any file that an
operator has can be named in the catalogue by its path.
"""

from __future__ import annotations

from dask_workers.weights.bundle import Bundle, File, Hosted


def _bundle(
    name: str,
    model: str,
    licence: str,
    repository: str,
    revision: str,
    files: dict[str, tuple[int, str]],
    *,
    half: bool = False,
) -> Bundle:
    """Return the bundle of `files`: size and SHA-256 by name.

    `half`: the publisher's weights in half precision, under the plain names that are looked for.
    """

    def path(file: str) -> str:
        return file.replace(".safetensors", ".fp16.safetensors") if half else file

    return Bundle(
        name,
        model,
        licence,
        tuple(
            File(file, size, sha256, Hosted(repository, revision, path(file)))
            for file, (size, sha256) in files.items()
        ),
    )


#: What is fetched over the network when somebody asks for it by name.
HOSTED = (
    _bundle(
        "qwen2.5-0.5b",
        "Qwen2.5-0.5B-Instruct, quantised to 4 bits",
        "Apache-2.0",
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        "9217f5db79a29953eb74d5343926648285ec7e67",
        {
            "qwen2.5-0.5b-instruct-q4_k_m.gguf": (
                491_400_032,
                "74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
            ),
        },
    ),
    _bundle(
        "qwen2.5-1.5b",
        "Qwen2.5-1.5B-Instruct, quantised to 4 bits",
        "Apache-2.0",
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "91cad51170dc346986eccefdc2dd33a9da36ead9",
        {
            "qwen2.5-1.5b-instruct-q4_k_m.gguf": (
                1_117_320_736,
                "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
            ),
        },
    ),
    _bundle(
        "smollm2-1.7b",
        "SmolLM2-1.7B-Instruct, quantised to 4 bits",
        "Apache-2.0",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF",
        "2d4a76a30b4af41ecd395c35725ac11688d4cfe4",
        {
            "smollm2-1.7b-instruct-q4_k_m.gguf": (
                1_055_609_536,
                "decd2598bc2c8ed08c19adc3c8fdd461ee19ed5708679d1c54ef54a5a30d4f33",
            ),
        },
    ),
    _bundle(
        "qwen2.5-7b",
        "Qwen2.5-7B-Instruct, quantised to 4 bits",
        "Apache-2.0",
        "bartowski/Qwen2.5-7B-Instruct-GGUF",
        "main",
        {
            "Qwen2.5-7B-Instruct-Q4_K_M.gguf": (
                4_683_074_240,
                "65b8fcd92af6b4fefa935c625d1ac27ea29dcb6ee14589c55a8f115ceaaa1423",
            ),
        },
    ),
    _bundle(
        "smolvlm-500m",
        "SmolVLM-500M-Instruct, quantised to 8 bits: sees pictures",
        "Apache-2.0",
        "ggml-org/SmolVLM-500M-Instruct-GGUF",
        "72e986006ef53e37cdd3f6d4241c90b0f01df376",
        {
            "SmolVLM-500M-Instruct-Q8_0.gguf": (
                436_806_912,
                "9d4612de6a42214499e301494a3ecc2be0abdd9de44e663bda63f1152fad1bf4",
            ),
            "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf": (
                108_783_360,
                "d1eb8b6b23979205fdf63703ed10f788131a3f812c7b1f72e0119d5d81295150",
            ),
        },
    ),
    _bundle(
        "smolvlm2-2.2b",
        "SmolVLM2-2.2B-Instruct, quantised to 4 bits: sees pictures",
        "Apache-2.0",
        "ggml-org/SmolVLM2-2.2B-Instruct-GGUF",
        "1bc3c9f74ceafd4c8d4411cc9cf188bba3798f91",
        {
            "SmolVLM2-2.2B-Instruct-Q4_K_M.gguf": (
                1_112_602_656,
                "0cf76814555b8665149075b74ab6b5c1d428ea1d3d01c1918c12012e8d7c9f58",
            ),
            "mmproj-SmolVLM2-2.2B-Instruct-Q8_0.gguf": (
                592_523_200,
                "ae07ea1facd07dd3230c4483b63e8cda96c6944ad2481f33d531f79e892dd024",
            ),
        },
    ),
    _bundle(
        "whisper-small",
        "Whisper small, many languages, for faster-whisper",
        "MIT",
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        {
            "model.bin": (
                483_546_902,
                "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
            ),
            "config.json": (
                2_370,
                "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
            ),
            "tokenizer.json": (
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            "vocabulary.txt": (
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ),
        },
    ),
    _bundle(
        "sd15",
        "Stable Diffusion 1.5 in half precision, with its safety checker",
        "CreativeML OpenRAIL-M",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        {
            "model_index.json": (
                541,
                "e2f6f22e274374010aec30c79eb2d6e53fff4a36ac0225523a92cb2d41a83347",
            ),
            "feature_extractor/preprocessor_config.json": (
                342,
                "2a1da83b5e1032aaeef397552ddb408dca0d8cd1dc58f61bf6abf38d6f33a0a2",
            ),
            "safety_checker/config.json": (
                4_723,
                "5dd77a06cbd9b155060bd58deb81ffd1aafc1c6d7970acac674c1128bd4edfe2",
            ),
            "safety_checker/model.safetensors": (
                608_018_440,
                "08902f19b1cfebd7c989f152fc0507bef6898c706a91d666509383122324b511",
            ),
            "scheduler/scheduler_config.json": (
                308,
                "699cce92eb7c122e2eb7dfdea78e6187fda76a5ed4a8e42319b85610e620e091",
            ),
            "text_encoder/config.json": (
                617,
                "845df614cb9327ae7bbea027316246fae917827407da6df13572e41b5f93b4cc",
            ),
            "text_encoder/model.safetensors": (
                246_144_864,
                "77795e2023adcf39bc29a884661950380bd093cf0750a966d473d1718dc9ef4e",
            ),
            "tokenizer/merges.txt": (
                524_619,
                "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a",
            ),
            "tokenizer/special_tokens_map.json": (
                472,
                "c4864a9376a8401918425bed71fc14fc0e81f9b59ec45c1cf96cccb2df508eac",
            ),
            "tokenizer/tokenizer_config.json": (
                806,
                "00439066fcba73de57644cf41e4e3b9f2dbb09d7f3fc2005898ba52399045882",
            ),
            "tokenizer/vocab.json": (
                1_059_962,
                "e089ad92ba36837a0d31433e555c8f45fe601ab5c221d4f607ded32d9f7a4349",
            ),
            "unet/config.json": (
                743,
                "78f474de6bab3d893868f37be97b636ae65c0df3073ed3256ca458ff599b5f96",
            ),
            "unet/diffusion_pytorch_model.safetensors": (
                1_719_125_304,
                "c83908253f9a64d08c25fc90874c9c8aef9a329ce1ca5fb909d73b0c83d1ea21",
            ),
            "vae/config.json": (
                547,
                "786a7d21647ddea6a04b9675c03d3cb45e90a2f3c6da5fbda2c54ade040036de",
            ),
            "vae/diffusion_pytorch_model.safetensors": (
                167_335_342,
                "4fbcf0ebe55a0984f5a5e00d8c4521d52359af7229bb4d81890039d2aa16dd7c",
            ),
        },
        half=True,
    ),
)
