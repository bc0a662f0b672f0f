"""What a gateway costs, measured beside its peers. `python -m benchmarks --help`; README.md says what is measured and how."""
