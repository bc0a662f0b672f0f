"""Speaks an answer while it is still being written: each sentence as soon as it has ended.

python examples/voice.py "Why is the sky blue?"                      # needs espeak-ng
python examples/voice.py "Why is the sky blue?" --wav FOLDER         # into files, a sentence each
python examples/voice.py "Why is the sky blue?" --url http://127.0.0.1:8484 --model chat
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from telex import Client


def speak(sentence: str, file: Path | None) -> None:
    """Aloud, or into a file."""
    into = ["-w", str(file)] if file else []
    subprocess.run(["espeak-ng", *into, "--stdin"], input=sentence.encode(), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speaks an answer while it is still being written.")
    parser.add_argument("prompt")
    parser.add_argument("--model", default="local")
    parser.add_argument("--url", help="of a gateway; without one the model is asked from this process")
    parser.add_argument("--wav", type=Path, help="a folder for the sentences, instead of the loudspeaker")
    said = parser.parse_args()
    with Client(said.url) as llm, llm.stream(said.prompt, model=said.model) as stream:
        for number, sentence in enumerate(stream.sentences(), 1):
            print(sentence, end="", flush=True)
            speak(sentence, said.wav / f"{number:03}.wav" if said.wav else None)


if __name__ == "__main__":
    main()
