"""What every `Options` dataclass is made of: fields with help texts, and checks of their values."""
