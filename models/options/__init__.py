"""The parts of every `Options` dataclass: fields with help texts, and checks of their values."""
