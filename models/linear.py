"""Linear regression on TF-IDF: predicts a document's target, one number.

y = Σ w_t · x_t + b, fitted by least squares to the standardised target; `train.l1` makes it a Lasso (Tibshirani, 1996),
`train.weight_decay` a Ridge regression (Hoerl and Kennard, 1970).
"""

from models.logistic import READS, Model, Options

__all__ = ["READS", "Model", "Options"]
