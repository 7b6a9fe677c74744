"""Everything Spark: the stages from raw text to predictions. Imports `models`, never the other way round."""
