"""Linear regression on sparse features: one number a document, the target that documents come with.

y = Σ w_t · x_t + b, least squares; `train.l1` makes it Lasso (Tibshirani, 1996), `train.weight_decay` Ridge (Hoerl and
Kennard, 1970), of the standardised target.
"""

from models.logistic import READS, Model, Options

__all__ = ["READS", "Model", "Options"]
